// Who acts on this screen: asked once, at the first act, and kept in this browser
// until it is asked again. Nobody has to say it to see.
import { settings } from "../settings/settings.svelte";
import { login } from "./login.svelte";

type Answer = (name: string | null) => void;

class Who {
  /** Set while the page asks for a name. */
  asking: Answer | null = $state.raw(null);

  /** The name; null: the person does not want to give one, and does not act. */
  async name(): Promise<string | null> {
    // Where a token says who acts, nobody is asked.
    if (login.token !== "") return settings.name;
    return settings.name === "" ? this.ask() : settings.name;
  }

  /** Asks again, whoever was here before. */
  async ask(): Promise<string | null> {
    this.asking?.(null);
    return new Promise((done) => {
      this.asking = (name) => {
        this.asking = null;
        if (name) settings.choose("name", name);
        done(name);
      };
    });
  }
}

export const who = new Who();
