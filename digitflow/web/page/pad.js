// The paper: strokes of a pointer or a picture, its earlier and later versions, and its pixels.

const EXPORTED = 448; // px a side of the drawing that is sent
const PEN = 0.055; // the pen's width as a share of the paper's side
const FINEST = 0.002; // points nearer than this to the last one say nothing new
const EMPTY = { strokes: [], picture: null };

/** Draw strokes, lists of [x, y] from 0 to 1, smoothly on a square of so many pixels. */
function drawStrokes(context, strokes, side) {
  context.lineWidth = PEN * side;
  context.lineCap = context.lineJoin = "round";
  for (const points of strokes) {
    const scaled = points.map(([x, y]) => [x * side, y * side]);
    context.beginPath();
    context.moveTo(...scaled[0]);
    if (scaled.length === 1) context.lineTo(...scaled[0]); // a dot
    // Catmull and Rom's spline: it goes through every point, and so cuts no corners.
    for (let i = 1; i < scaled.length; i++) {
      const [start, end] = [scaled[i - 1], scaled[i]];
      const [before, after] = [scaled[i - 2] ?? start, scaled[i + 1] ?? end];
      const leaving = start.map((value, axis) => value + (end[axis] - before[axis]) / 6);
      const arriving = end.map((value, axis) => value - (after[axis] - start[axis]) / 6);
      context.bezierCurveTo(...leaving, ...arriving, ...end);
    }
    context.stroke();
  }
}

/** Return a drawing as a PNG, black on white whatever the theme. */
function drawingAsFile(strokes) {
  const canvas = Object.assign(document.createElement("canvas"), { width: EXPORTED, height: EXPORTED });
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, EXPORTED, EXPORTED);
  context.strokeStyle = "#000";
  drawStrokes(context, strokes, EXPORTED);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

export class Paper {
  /** `drawing()` is called while a stroke grows, `changed()` after every lasting change. */
  constructor(canvas, { drawing, changed }) {
    this.canvas = canvas;
    this.drawing = drawing;
    this.changed = changed;
    this.versions = [EMPTY];
    this.place = 0;
    this.stroke = null; // the one that is being drawn
    this.pointer = null; // that draws it
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.goOn(event));
    canvas.addEventListener("pointerup", (event) => this.end(event));
    canvas.addEventListener("pointercancel", (event) => this.end(event));
    new ResizeObserver(() => this.paint()).observe(canvas);
  }

  get now() {
    return this.versions[this.place];
  }

  get picture() {
    return this.now.picture;
  }

  get strokes() {
    return this.stroke ? [...this.now.strokes, this.stroke] : this.now.strokes;
  }

  get isEmpty() {
    return !this.picture && this.strokes.length === 0;
  }

  get canUndo() {
    return this.place > 0;
  }

  get canRedo() {
    return this.place < this.versions.length - 1;
  }

  undo() {
    if (this.canUndo) this.goTo(this.place - 1);
  }

  redo() {
    if (this.canRedo) this.goTo(this.place + 1);
  }

  clear() {
    if (!this.isEmpty) this.put(EMPTY);
  }

  /** Lay a picture, { name, blob, url }, on the paper. */
  show(picture) {
    this.put({ strokes: [], picture });
  }

  /** Return what is on the paper as the bytes of an image file. */
  asFile() {
    return this.picture ? Promise.resolve(this.picture.blob) : drawingAsFile(this.strokes);
  }

  put(version) {
    this.versions.splice(this.place + 1, Infinity, version);
    this.goTo(this.place + 1);
  }

  goTo(place) {
    this.stroke = this.pointer = null;
    this.place = place;
    this.paint();
    this.changed();
  }

  begin(event) {
    // A second finger, or another button of the mouse, draws nothing.
    if (this.pointer !== null || event.button !== 0 || this.picture) return;
    event.preventDefault();
    this.canvas.setPointerCapture(event.pointerId);
    this.pointer = event.pointerId;
    this.stroke = [this.pointAt(event)];
    this.paint();
    this.drawing();
  }

  goOn(event) {
    if (event.pointerId !== this.pointer) return;
    const passed = event.getCoalescedEvents?.() ?? [];
    for (const each of passed.length ? passed : [event]) {
      const [x, y] = this.pointAt(each);
      const [lastX, lastY] = this.stroke.at(-1);
      if (Math.hypot(x - lastX, y - lastY) >= FINEST) this.stroke.push([x, y]);
    }
    this.paint();
    this.drawing();
  }

  end(event) {
    if (event.pointerId === this.pointer) this.put({ strokes: this.strokes, picture: null });
  }

  pointAt(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  /** Paint anew, in the colour of the theme and as finely as the screen shows it. */
  paint() {
    const side = Math.round(this.canvas.clientWidth * devicePixelRatio);
    this.canvas.width = this.canvas.height = side;
    const context = this.canvas.getContext("2d");
    context.strokeStyle = getComputedStyle(this.canvas).color;
    drawStrokes(context, this.strokes, side);
  }
}
