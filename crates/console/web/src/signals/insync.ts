// Flashes in step: all that flash at one rate are on and off together.

/** An action for elements that CSS makes flash. */
export function insync(node: HTMLElement): { destroy(): void } {
  const align = (): void => {
    for (const animation of node.getAnimations()) animation.startTime = 0;
  };
  align();
  node.addEventListener("animationstart", align);
  return { destroy: () => node.removeEventListener("animationstart", align) };
}
