// The page's voice: armed by one visible act, because browsers let no page sound
// before; it says when the browser keeps it silent all the same.
import { calls } from "../picture/picture";
import { store } from "../picture/store.svelte";
import { level } from "../alerts/alerts";
import { Ringer, type Conditions } from "./ringer";
import { burst, HARMONICS, type Burst } from "./tones";

export type SoundState = "off" | "on" | "blocked";

/** How often the ringer is asked. */
const EVERY_MS = 250;
const LOUDNESS = 0.35;
/** Rise and fall of a pulse, as a part of it. */
const EDGE = 0.15;

class Sound {
  state: SoundState = $state("off");
  /** The last burst that sounded, and how many have: for people and tests. */
  last: Burst | null = $state(null);
  sounded = $state(0);
  #audio: AudioContext | null = null;
  #wave: PeriodicWave | null = null;
  readonly #ringer = new Ringer();
  readonly #raised = { high: 0, medium: 0, low: 0 };

  start(): void {
    store.onNotice((notice) => {
      if (notice.kind === "link_lost") this.#raised.medium += 1;
      const rank = notice.alert ? level(notice.alert.priority) : "none";
      if (rank !== "none") this.#raised[rank] += 1;
    });
    setInterval(() => this.#ring(), EVERY_MS);
  }

  /** The act that turns it on or off. */
  async toggle(): Promise<void> {
    if (this.state === "on") {
      await this.#audio?.suspend();
      this.state = "off";
      return;
    }
    if (!this.#audio) {
      this.#audio = new AudioContext();
      const real = new Float32Array(HARMONICS.length + 1);
      const imaginary = new Float32Array([0, ...HARMONICS]);
      this.#wave = this.#audio.createPeriodicWave(real, imaginary);
      this.#audio.addEventListener("statechange", () => this.#look());
    }
    this.state = "blocked";
    // A browser that forbids it neither resolves nor rejects: the state tells.
    void this.#audio.resume().then(() => {
      this.#look();
      if (this.state === "on") this.#play("low");
    });
  }

  #look(): void {
    if (this.state !== "off") this.state = this.#audio?.state === "running" ? "on" : "blocked";
  }

  #ring(): void {
    const next = this.#ringer.next(this.#conditions(), performance.now() / 1000);
    if (next && this.state === "on") this.#play(next);
  }

  #conditions(): Conditions {
    let highest: Conditions["highest"] = "none";
    const order = ["none", "low", "medium", "high"] as const;
    for (const state of store.picture.transfers.values()) {
      if (state.closed) continue;
      for (const alert of state.alert) {
        const rank = level(alert.priority);
        if (calls(alert, store.serverNow()) && order.indexOf(rank) > order.indexOf(highest)) highest = rank;
      }
    }
    return { serverSilent: store.begun && !store.live, highest, raised: this.#raised };
  }

  #play(kind: Burst): void {
    const audio = this.#audio;
    if (!audio || !this.#wave) return;
    this.last = kind;
    this.sounded += 1;
    const begin = audio.currentTime + 0.03;
    for (const pulse of burst(kind)) {
      const [oscillator, gain] = [audio.createOscillator(), audio.createGain()];
      oscillator.setPeriodicWave(this.#wave);
      oscillator.frequency.value = pulse.hertz;
      const [from, to] = [begin + pulse.at, begin + pulse.at + pulse.seconds];
      const edge = pulse.seconds * EDGE;
      gain.gain.setValueAtTime(0, from);
      gain.gain.linearRampToValueAtTime(LOUDNESS, from + edge);
      gain.gain.setValueAtTime(LOUDNESS, to - edge);
      gain.gain.linearRampToValueAtTime(0, to);
      oscillator.connect(gain).connect(audio.destination);
      oscillator.start(from);
      oscillator.stop(to);
    }
  }
}

export const sound = new Sound();
