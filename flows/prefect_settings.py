"""The settings that flows give Prefect, where the environment does not have others.

Prefect reads them when it is imported: nothing here imports it.
"""

#: Variables of the environment.
DEFAULTS = {
    # Nothing is sent to third parties.
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # With the default of 1, Prefect 3.8.8 loses the last task events of a script whose temporary
    # server stops, and logs the loss as a CancelledError.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    # The same line comes from a flush by the clock, every 5 s, that the stop interrupts.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "3600",
    # The first start on a machine creates Prefect's database, which can take a while.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
    # Prefect's own lines go to its log; the console shows what this project prints.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
}
