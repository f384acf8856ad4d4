// Progress of a training run on stderr: one line that is redrawn on a terminal, a line at intervals elsewhere, and messages
// between them.
import { formatCount, formatDuration } from '../../core/index.ts'

export interface BarStep {
  step: number
  totalSteps: number
  loss: number
  tokensPerSecond: number
  /** Duration of this step. */
  seconds: number
}

export interface TrainingBarOptions {
  label: string
  /** Tokens per second at the speed of a plain matrix product, where known. */
  ceiling?: number
  /** Time budget of the run, when that decides its end. */
  seconds?: number
  stream?: NodeJS.WriteStream
  /** Milliseconds between two lines when there is no terminal. */
  intervalMs?: number
}

const barWidth = 20
/** Columns of a line where there is no terminal, or one of unknown width. */
const defaultColumns = 80
/** Weight of the newest step in the smoothed loss. */
const lossWeight = 0.1

export class TrainingBar {
  readonly #options: TrainingBarOptions
  readonly #stream: NodeJS.WriteStream
  #loss = Number.NaN
  readonly #rate = new StepRate()
  #steps = 0
  readonly #started = performance.now()
  #shownAt = 0
  #shown = ''

  constructor(options: TrainingBarOptions) {
    this.#options = options
    this.#stream = options.stream ?? process.stderr
  }

  update(event: BarStep): void {
    this.#steps++
    // A plain mean over the first steps, so that the first loss does not dominate.
    const weight = Math.max(lossWeight, 1 / this.#steps)
    const towards = (mean: number, value: number) => (Number.isNaN(mean) ? value : mean + weight * (value - mean))
    if (Number.isFinite(event.loss)) this.#loss = towards(this.#loss, event.loss)
    this.#rate.add({ seconds: event.seconds, tokens: event.tokensPerSecond * event.seconds })
    const now = performance.now()
    const { isTTY } = this.#stream
    const wait = isTTY ? 200 : (this.#options.intervalMs ?? 15_000)
    if (this.#shownAt !== 0 && now - this.#shownAt < wait && event.step < event.totalSteps) return
    this.#shownAt = now
    const text = this.#describe(event)
    if (!isTTY) this.#stream.write(`${text}\n`)
    else this.#stream.write(`\r${(this.#shown = text)}\u001b[K`)
  }

  /** Prints a line above the bar. */
  line(text: string): void {
    const { isTTY } = this.#stream
    this.#stream.write(isTTY && this.#shown !== '' ? `\r\u001b[K${text}\n${this.#shown}` : `${text}\n`)
  }

  stop(): void {
    if (this.#stream.isTTY && this.#shown !== '') this.#stream.write('\n')
    this.#shown = ''
  }

  #describe({ step, totalSteps }: BarStep): string {
    const { label, ceiling, seconds } = this.#options
    const { secondsPerStep, tokensPerSecond } = this.#rate.means
    const elapsed = (performance.now() - this.#started) / 1000
    // Under a time budget the number of steps is an estimate, rough at first.
    const share = Math.min(
      1,
      seconds === undefined ? step / totalSteps : Math.max(elapsed / seconds, step >= totalSteps ? 1 : 0),
    )
    const filled = Math.round(share * barWidth)
    const bar = ` ${'█'.repeat(filled)}${'░'.repeat(barWidth - filled)}`
    const left = seconds === undefined ? (totalSteps - step) * secondsPerStep : share < 1 ? seconds - elapsed : 0
    const columns = this.#stream.isTTY ? (this.#stream.columns ?? defaultColumns) - 1 : defaultColumns
    // What tells least is left out first where the line would be too long: the bar itself, then speeds.
    const parts = [
      {
        text: `${label}${this.#stream.isTTY ? bar : ''} ${Math.floor(100 * share)} %`,
        short: `${label} ${Math.floor(100 * share)} %`,
      },
      { text: seconds === undefined ? `step ${step}/${totalSteps}` : `step ${step}` },
      { text: `loss ${this.#loss.toFixed(3)}` },
      { text: `${formatCount(tokensPerSecond)} tokens/s`, short: '' },
      { text: ceiling === undefined ? '' : `${Math.round((100 * tokensPerSecond) / ceiling)} % of matmul`, short: '' },
      { text: left > 0 ? `${formatDuration(left * 1000)} left` : '' },
    ]
    const line = () =>
      parts
        .map(({ text }) => text)
        .filter((text) => text !== '')
        .join(' · ')
    for (const i of [4, 0, 3]) {
      if (line().length <= columns) break
      parts[i].text = parts[i].short ?? ''
    }
    return line().slice(0, columns)
  }
}

/** Recent steps that are averaged. */
const kept = 50
/** Newest steps that define a normal duration: few, so that a lasting slowdown shows soon. */
const newest = 9
/** A step longer than this multiple of their median was a pause. */
const pause = 8

/** The speed of a run from its recent steps. A step that took far longer than most was a pause (the process was stopped, or the machine slept). */
class StepRate {
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
