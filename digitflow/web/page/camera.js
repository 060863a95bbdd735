// A still from the webcam.

const PROBLEMS = {
  NotAllowedError: "The browser was not allowed to use the camera. Allow it in the address bar, or choose a picture instead.",
  NotFoundError: "No camera was found. Choose a picture instead.",
  NotReadableError: "Another program uses the camera. Close that one, or choose a picture instead.",
};

const dialog = document.getElementById("camera-dialog");
const video = document.getElementById("video");
const problem = document.getElementById("camera-problem");
const take = document.getElementById("take");

/** Open the camera; `taken` is given each still, a Blob. */
export async function openCamera(taken) {
  problem.hidden = true;
  video.hidden = false;
  take.disabled = true;
  dialog.showModal();
  try {
    // Browsers keep the camera from pages that came over the network without https.
    if (!navigator.mediaDevices) throw new DOMException("", "InsecureContext");
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    await video.play();
  } catch (error) {
    stop();
    if (!dialog.open) return; // closed while the browser was asking
    video.hidden = true;
    problem.hidden = false;
    problem.textContent = error.name === "InsecureContext"
      ? "The browser gives the camera only to pages from this computer or over https. Choose a picture instead."
      : PROBLEMS[error.name] ?? `The camera cannot be used (${error.name}). Choose a picture instead.`;
    return;
  }
  if (!dialog.open) return stop();
  take.disabled = false;
  take.onclick = async () => {
    taken(await still());
    dialog.close();
  };
}

function still() {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

function stop() {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
}

document.getElementById("camera-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", stop);
