// The page's own tongue: texts in the language that the reader chose. Reading
// them in a component draws it anew when the language changes.
import { settings } from "../settings/settings.svelte";
import { text, type Key, type Parts } from "./words";

export function t(key: Key, parts?: Parts): string {
  return text(settings.language, key, parts);
}
