// Which card an arrow key goes to, by where the cards are on the screen. Pure.

export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** The index of the next card; null: the key leads nowhere. */
export function neighbour(boxes: readonly Box[], here: number, key: string): number | null {
  if (boxes.length === 0) return null;
  const from = boxes[here];
  if (!from) return 0;
  const [x, y] = [from.left + from.width / 2, from.top + from.height / 2];
  let best: { at: number; far: number } | null = null;
  boxes.forEach((box, at) => {
    const [dx, dy] = [box.left + box.width / 2 - x, box.top + box.height / 2 - y];
    const ahead = key === "ArrowRight" ? dx : key === "ArrowLeft" ? -dx : key === "ArrowDown" ? dy : -dy;
    const aside = Math.abs(key === "ArrowRight" || key === "ArrowLeft" ? dy : dx);
    if (ahead <= 1) return;
    // Straight ahead before near but aside.
    const far = ahead + aside * 3;
    if (best === null || far < best.far) best = { at, far };
  });
  return (best as { at: number } | null)?.at ?? null;
}
