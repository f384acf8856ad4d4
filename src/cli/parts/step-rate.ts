// The speed of a run from its recent steps. A step that took far longer than most was a pause (the process was stopped, or the machine
// slept) and does not count.

/** Recent steps that are averaged. */
const kept = 50
/** Newest steps that define a normal duration: few, so that a lasting slowdown shows soon. */
const newest = 9
/** A step longer than this multiple of their median was a pause. */
const pause = 8

export class StepRate {
  readonly #steps: { seconds: number; tokens: number }[] = []

  add(step: { seconds: number; tokens: number }): void {
    this.#steps.push(step)
    if (this.#steps.length > kept) this.#steps.shift()
  }

  /** Means over the recent steps without pauses; 0 before the first step. */
  get means(): { secondsPerStep: number; tokensPerSecond: number } {
    const steps = this.#steps
    // The lower of two medians, so that the second step already shows that the first was a pause.
    const last = steps.slice(-newest).map(({ seconds }) => seconds)
    const median = last.sort((a, b) => a - b)[(last.length - 1) >> 1] ?? 0
    const counted = steps.filter(({ seconds }) => seconds <= pause * median)
    const seconds = counted.reduce((sum, step) => sum + step.seconds, 0)
    if (seconds === 0) return { secondsPerStep: 0, tokensPerSecond: 0 }
    const tokens = counted.reduce((sum, step) => sum + step.tokens, 0)
    return { secondsPerStep: seconds / counted.length, tokensPerSecond: tokens / seconds }
  }
}
