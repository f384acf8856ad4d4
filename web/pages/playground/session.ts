// Questions and the answers of one or two models. A question can be asked again, and each answer says which step gave it.
import { computed, signal } from '@preact/signals'
import type { ShownToken } from '../../../src/serving/studio/types/api-types.ts'
import { ask, askText } from './ask.ts'
import type { ChatTurn, Mode, Question } from './modes.tsx'

/** One answer of one model. */
export interface Answer {
  number: number
  model: string
  /** Step of its weights, of a model in training. */
  step: number | null
  state: 'waiting' | 'arriving' | 'done' | 'failed'
  text: string
  /** What the model thought before the text; empty for most. */
  reasoning: string
  tokens: readonly ShownToken[]
  /** The answer of a mode that does not write. */
  body: unknown
  error: string | undefined
}

/** A question with the answers of each model, oldest first. */
export interface Turn {
  number: number
  mode: Mode
  question: Question
  answers: readonly (readonly Answer[])[]
}

/** Answers of one model to one question that are kept. */
const maxAnswers = 50

let count = 0

export class Session {
  readonly turns = signal<readonly Turn[]>([])
  /** Maximum tokens of a prompt with its answer, of the model that has the fewest. */
  context = 0
  readonly #running = signal(0)
  #controller = new AbortController()

  /** Whether an answer is on its way. */
  readonly busy = computed(() => this.#running.value > 0)

  /** Forgets everything. */
  clear(): void {
    this.stop()
    this.turns.value = []
  }

  /** Ends the answers that are on their way. */
  stop(): void {
    this.#controller.abort()
    this.#controller = new AbortController()
  }

  /** Asks models a new question; a chat keeps its earlier turns. */
  async ask(mode: Mode, question: Question, models: readonly string[]): Promise<void> {
    const turn = { number: ++count, mode, question, answers: models.map(() => []) }
    const earlier = this.turns.value.filter((each) => mode.chat === true && each.mode === mode)
    this.turns.value = [...earlier, turn]
    await this.again(models)
  }

  /** Asks the last question again. @param models by place; undefined for one that is not asked */
  async again(models: readonly (string | undefined)[]): Promise<void> {
    const turn = this.turns.value.at(-1)
    if (turn === undefined) return
    await Promise.all(
      models.map((model, place) => (model === undefined ? undefined : this.#answer(turn.number, place, model))),
    )
  }

  async #answer(number: number, place: number, model: string): Promise<void> {
    const turn = this.turns.value.find((each) => each.number === number)
    if (turn === undefined) return
    const { mode, question } = turn
    const id = ++count
    const { signal: stopped } = this.#controller
    const set = (change: Partial<Answer>) => this.#change(number, place, id, change)
    this.#add(number, place, {
      ...{ number: id, model, step: null, state: 'waiting', text: '', reasoning: '', tokens: [] },
      ...{ body: undefined, error: undefined },
    })
    this.#running.value++
    try {
      const request = mode.request(question, this.context, this.#earlierTurns(number, place))
      if (mode.writes) await this.#write(model, mode, request, stopped, set)
      else {
        const { step, body } = await ask(model, mode.path, request, stopped)
        set({ step, body })
      }
      set({ state: 'done' })
    } catch (error) {
      set({ state: 'failed', error: stopped.aborted ? 'Stopped.' : (error as Error).message })
    } finally {
      this.#running.value--
    }
  }

  async #write(
    model: string,
    mode: Mode,
    request: Record<string, unknown>,
    stopped: AbortSignal,
    set: (change: Partial<Answer>) => void,
  ): Promise<void> {
    let text = ''
    let reasoning = ''
    let tokens: readonly ShownToken[] = []
    await askText(model, mode.path, request, {
      signal: stopped,
      onStart: (step) => set({ step, state: 'arriving' }),
      onPiece: (piece) => {
        text += piece.text
        reasoning += piece.reasoning
        if (piece.tokens.length > 0) tokens = [...tokens, ...piece.tokens]
        set({ text, reasoning, tokens })
      },
    })
  }

  /** What was said before a turn, with the newest answer of the same model to each question. */
  #earlierTurns(number: number, place: number): ChatTurn[] {
    return this.turns.value.flatMap((turn) => {
      const answer = turn.answers[place]?.findLast(({ state }) => state === 'done')
      return turn.number < number && answer !== undefined ? [{ question: turn.question.text, answer: answer.text }] : []
    })
  }

  #add(number: number, place: number, answer: Answer): void {
    this.#update(number, place, (answers) => [...answers, answer].slice(-maxAnswers))
  }

  #change(number: number, place: number, id: number, change: Partial<Answer>): void {
    this.#update(number, place, (answers) =>
      answers.map((each) => (each.number === id ? { ...each, ...change } : each)),
    )
  }

  #update(number: number, place: number, update: (answers: readonly Answer[]) => readonly Answer[]): void {
    this.turns.value = this.turns.value.map((turn) =>
      turn.number === number
        ? { ...turn, answers: turn.answers.map((answers, i) => (i === place ? update(answers) : answers)) }
        : turn,
    )
  }
}
