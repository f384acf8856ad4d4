// An answer as its parts, while it is written: reasoning in `<think>` tags, content, and calls of functions. Text that may
// turn out to be the start of a tag is held back, so that streamed and whole answers have the same parts.
import { type CallableFunctions, callOf, callsOf, type ToolCall } from './tools.ts'

/** Whether an answer has reasoning in tags: never, where it begins with one, or from its start as the prompt has the tag. */
export type Thinking = 'none' | 'possible' | 'begun'

/** A part of an answer in the order of the text. Several parts of text of one kind follow each other. */
export type AnswerPart = { kind: 'reasoning' | 'content'; text: string } | { kind: 'call'; call: ToolCall }

const thought = { open: '<think>', close: '</think>' }
const called = { open: '<tool_call>', close: '</tool_call>' }

/** Whether a template writes reasoning in tags. */
export const knowsThinking = (template: string): boolean => template.includes(thought.close)

/** Whether a rendered prompt ends with the tag that begins reasoning. */
export const beginsThinking = (prompt: string): boolean => prompt.trimEnd().endsWith(thought.open)

/** Where the end of a text begins that may be the start of a tag, with the white space before it. */
const heldFrom = (text: string, tag: string): number => {
  let length = Math.min(tag.length - 1, text.length)
  while (length > 0 && !tag.startsWith(text.slice(-length))) length--
  return text.slice(0, text.length - length).trimEnd().length
}

type State = 'beginning' | 'reasoning' | 'start' | 'bare' | 'content' | 'call'

/** Reads one answer. */
export class AnswerParser {
  readonly #tools: CallableFunctions
  #state: State
  /** Text whose kind is not known yet. */
  #waiting = ''
  #parts: AnswerPart[] = []
  #calls = 0
  #hasThought = false
  #hasReasoning = false

  constructor(tools: CallableFunctions, thinking: Thinking) {
    this.#tools = tools
    this.#hasThought = thinking === 'begun'
    this.#state = thinking === 'none' ? 'start' : thinking === 'begun' ? 'reasoning' : 'beginning'
  }

  /** Whether what comes next is reasoning, as far as it is known. */
  get isThinking(): boolean {
    return this.#state === 'reasoning'
  }

  /** Whether text is held back. */
  get isWaiting(): boolean {
    return this.#waiting !== ''
  }

  /** Reads a piece of the text. @returns the parts that are known by it */
  read(text: string): AnswerPart[] {
    this.#waiting += text
    return this.#advance(false)
  }

  /** @returns the parts that were held back */
  end(): AnswerPart[] {
    return this.#advance(true)
  }

  #advance(isLast: boolean): AnswerPart[] {
    while (this.#step(isLast));
    const parts = this.#parts
    this.#parts = []
    return parts
  }

  /** @returns whether the state changed, so that there is more to do */
  #step(isLast: boolean): boolean {
    switch (this.#state) {
      case 'beginning':
        return this.#begin(isLast)
      case 'reasoning':
        return this.#reason(isLast)
      case 'start':
        return this.#start(isLast)
      case 'bare':
        return isLast && this.#readBareCalls()
      case 'content':
        return this.#readContent(isLast)
      case 'call':
        return this.#readCall(isLast)
    }
  }

  #enter(state: State): true {
    this.#state = state
    return true
  }

  /** Gives the first characters of the waiting text. */
  #put(kind: 'reasoning' | 'content', length: number): void {
    const text = this.#waiting.slice(0, length)
    this.#waiting = this.#waiting.slice(length)
    if (text !== '') this.#parts.push({ kind, text })
  }

  #begin(isLast: boolean): boolean {
    const text = this.#waiting.trimStart()
    if (!isLast && text.length < thought.open.length && thought.open.startsWith(text)) return false
    if (!text.startsWith(thought.open)) return this.#enter('start')
    this.#waiting = text.slice(thought.open.length)
    this.#hasThought = true
    return this.#enter('reasoning')
  }

  #reason(isLast: boolean): boolean {
    if (!this.#hasReasoning) this.#waiting = this.#waiting.trimStart()
    const end = this.#waiting.indexOf(thought.close)
    const known = end >= 0 ? this.#waiting.slice(0, end) : this.#waiting
    this.#put('reasoning', end >= 0 || isLast ? known.trimEnd().length : heldFrom(known, thought.close))
    this.#hasReasoning ||= this.#parts.length > 0
    if (end < 0) {
      if (isLast) this.#waiting = ''
      return false
    }
    this.#waiting = this.#waiting.slice(this.#waiting.indexOf(thought.close) + thought.close.length)
    return this.#enter('start')
  }

  /** The start of what follows the reasoning: calls in JSON, without tags, are the whole rest. */
  #start(isLast: boolean): boolean {
    const canCall = this.#tools.functions.length > 0
    if (this.#hasThought) this.#waiting = this.#waiting.trimStart()
    const text = this.#waiting.trimStart()
    if (text === '' && !isLast && (canCall || this.#hasThought)) return false
    return this.#enter(canCall && /^[{[]/.test(text) ? 'bare' : 'content')
  }

  #readBareCalls(): boolean {
    const calls = callsOf(this.#waiting.trim(), this.#tools.functions)
    if (calls === undefined) return this.#enter('content')
    for (const call of calls) this.#putCall(call)
    this.#waiting = ''
    return false
  }

  #putCall(call: ToolCall): void {
    if (this.#calls < this.#tools.maxCalls) this.#parts.push({ kind: 'call', call })
    this.#calls++
  }

  #readContent(isLast: boolean): boolean {
    const text = this.#waiting
    if (this.#tools.functions.length === 0) {
      this.#put('content', text.length)
      return false
    }
    const at = text.indexOf(called.open)
    if (at >= 0) {
      // White space before a call belongs to its tags.
      this.#put('content', text.slice(0, at).trimEnd().length)
      return this.#enter('call')
    }
    if (!isLast) this.#put('content', heldFrom(text, called.open))
    else {
      this.#put('content', this.#calls > 0 ? text.trimEnd().length : text.length)
      this.#waiting = ''
    }
    return false
  }

  /** A call may lack the closing tag at the end of a text. Tags around anything else are content. */
  #readCall(isLast: boolean): boolean {
    const text = this.#waiting
    const start = text.indexOf(called.open) + called.open.length
    const close = text.indexOf(called.close, start)
    if (close < 0 && !isLast) return false
    const end = close < 0 ? text.length : close
    const call = callOf(text.slice(start, end).trim(), this.#tools.functions)
    if (call === undefined) this.#put('content', start)
    else {
      this.#putCall(call)
      this.#waiting = text.slice(end + called.close.length)
    }
    return this.#enter('content')
  }
}
