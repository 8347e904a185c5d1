// Keys of the page are none while somebody writes, or with a key of the browser.

export function isTyping(event: KeyboardEvent): boolean {
  const { target } = event;
  const writes = target instanceof HTMLInputElement || target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement;
  return writes || event.ctrlKey || event.altKey || event.metaKey;
}
