// The board's trends as components see them.
import { Trends } from "../trend/trends";

class Kept {
  readonly all = new Trends();
  /** Counts the times that a past was filled in. */
  filled = $state(0);
}

export const trends = new Kept();
