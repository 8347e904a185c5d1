// Tells the store which cards somebody could see: only those are drawn anew.
import { store } from "../picture/store.svelte";

/** So far beyond the window's edge a card is drawn, so that scrolling shows the present. */
const AHEAD = "50%";

const ids = new Map<Element, string>();
const observer =
  typeof IntersectionObserver === "undefined"
    ? null
    : new IntersectionObserver(
        (changes) => {
          for (const { target, isIntersecting } of changes) {
            const id = ids.get(target);
            if (id !== undefined) store.sight(id, isIntersecting);
          }
        },
        { rootMargin: AHEAD },
      );

/** On the element that holds the card; until the browser knows, it is in sight. */
export function sight(node: Element, id: string): { destroy: () => void } {
  ids.set(node, id);
  store.sight(id, true);
  observer?.observe(node);
  return {
    destroy() {
      observer?.unobserve(node);
      ids.delete(node);
      store.sight(id, false);
    },
  };
}
