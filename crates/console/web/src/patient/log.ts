// What the crew entered, in a line. Pure.
import type { CrewEvent } from "../../gen/proto/enroute/v1/frame_pb";
import { nameOf } from "../alerts/alerts";
import { idOf, quantity } from "../catalogue/catalogue";
import { convert, digits, type Units } from "../units/units";
import { decimal } from "../values/values";
import { isKey, text } from "../words/words";
import type { Language } from "../words/languages";
import { shortCode } from "../board/filter";

const BANDS = ["unknown", "neonate", "infant", "child", "adolescent", "adult"] as const;

export function logLine(event: CrewEvent | undefined, language: Language, units: Units): string {
  const entry = event?.event;
  switch (entry?.case) {
    case "observation": {
      const { code, value, decimals } = entry.value;
      const number = decimal(value, decimals);
      const word = idOf(code) === "acvpu" ? `acvpu.${number}` : idOf(code) === "o2_supp" ? `oxygen.${number}` : "";
      const amount = convert(number, decimals, quantity(code)?.unit ?? "", units);
      const said = isKey(word) ? text(language, word) : `${digits(amount)} ${amount.unit}`.trim();
      return text(language, "log.observation", { what: nameOf(language, code, ""), value: said });
    }
    case "population": {
      const band = text(language, `age.${BANDS[entry.value.ageBand] ?? "unknown"}`);
      return text(language, "log.population", { band });
    }
    case "intervention": {
      const key = `did.${entry.value.kind}`;
      const kind = isKey(key) ? text(language, key) : entry.value.kind;
      return entry.value.text ? `${kind}: ${entry.value.text}` : kind;
    }
    case "note":
      return text(language, "log.note", { text: entry.value });
    case "join":
      return text(language, "log.join", { code: shortCode(entry.value.shortCode) });
    case "handOver":
      return text(language, "log.hand_over");
    case "end":
      return text(language, "log.end");
    default:
      return text(language, "log.other");
  }
}
