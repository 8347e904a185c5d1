// Frames as runs of samples in physical units. Pure.
import { fromBinary } from "@bufbuild/protobuf";
import { FrameSchema, type Frame, type Waveform } from "../../gen/proto/enroute/v1/frame_pb";
import type { Samples } from "../../gen/proto/enroute/v1/live_pb";
import { quantity } from "../catalogue/catalogue";

/** A run of one channel. */
export interface Run {
  /** Whose and what: the same for all runs of a channel. */
  readonly channel: string;
  readonly gateway: string;
  readonly code: number;
  readonly label: string;
  /** UCUM. */
  readonly unit: string;
  /** Number of the first sample since the source began. */
  readonly first: number;
  /** Gateway's clock, milliseconds. */
  readonly start: number;
  /** Milliseconds from sample to sample. */
  readonly step: number;
  /** NaN: there is none. */
  readonly values: Float64Array;
}

/** The frame that came with samples; null when it is damaged. */
export function frameOf(samples: Samples): Frame | null {
  try {
    return fromBinary(FrameSchema, samples.frame);
  } catch {
    return null;
  }
}

/** The runs of a frame; a channel that cannot be drawn is left out. */
export function runsOf(gateway: string, frame: Frame): Run[] {
  if (frame.body.case !== "waveforms" || !frame.header) return [];
  const captured = Number(frame.header.capturedAtUs) / 1000;
  return frame.body.value.waveform.flatMap((waveform) => run(gateway, waveform, captured) ?? []);
}

function run(gateway: string, waveform: Waveform, captured: number): Run | null {
  const { baseline, delta, missing, code, label } = waveform;
  // Whole numbers stand in fields of their own.
  const [rateHz, gain] = [waveform.wholeRateHz || waveform.rateHz, waveform.wholeGain || waveform.gain];
  const usable = Number.isFinite(rateHz) && rateHz > 0 && Number.isFinite(gain) && gain !== 0 && delta.length > 0;
  if (!usable) return null;
  const values = new Float64Array(delta.length);
  let sample = 0;
  delta.forEach((step, at) => {
    // In 32-bit arithmetic that wraps, as the contract has it.
    sample = (sample + step) | 0;
    values[at] = (sample - baseline) / gain;
  });
  for (let pair = 0; pair + 1 < missing.length; pair += 2) {
    const [start, length] = [missing[pair] ?? 0, missing[pair + 1] ?? 0];
    values.fill(Number.NaN, start, start + length);
  }
  return {
    channel: `${gateway}\n${code}\n${label}`,
    gateway,
    code,
    label,
    unit: waveform.unit || quantity(code)?.unit || "",
    first: Number(waveform.firstSample),
    start: captured + waveform.startOffsetUs / 1000,
    step: 1000 / rateHz,
    values,
  };
}
