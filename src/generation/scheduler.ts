// The scheduler of text generation: requests of any length and settings share the steps of one model. A finished row is
// replaced at once, long prompts are computed in parts between the steps of other rows, and texts of one prompt share its
// computation. A text depends on its own request alone. Independent of architectures and adapters.
import { setImmediate } from 'node:timers/promises'
import { byCodeUnits, ConfigError, OutOfMemoryError } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import { keep, noGrad, releaseDeviceCache, scope, type Tensor } from '../tensor/index.ts'
import { Cohort } from './cohort.ts'
import { asLanguageModel, type LanguageModel } from './decoding-batch.ts'
import { FixedSteps } from './fixed-steps.ts'
import { textsOf } from './growing-text.ts'
import { prepareJob } from './job.ts'
import { blockTokens, PrefixStore } from './prefix-store.ts'
import { nextLogits } from './row-decoder.ts'
import {
  AbortListeners,
  type GenerationHandle,
  type GenerationRequest,
  inOrder,
  PromptGroup,
  ScheduledText,
} from './scheduled-text.ts'
import type { AdapterRouting, SchedulerOptions } from './scheduler-options.ts'
import { SlotCache } from './slot-cache.ts'
import { Speculation } from './speculation.ts'
import { chooseTokens, rowsAt, type TokenChoice, TokenChooser } from './token-choice.ts'

/** The next tokens of a text in a forward pass. */
interface Part {
  text: ScheduledText
  ids: readonly number[]
  /** Tokens that are cached before them. */
  from: number
  /** The last of them, which are proposed and not the text's yet. */
  drafts: readonly number[]
}

/** Prompt tokens of a step in which no text waits for its next token. */
const defaultIdlePrefill = 2048
/** Tokens beyond the prompt for which space is made at first. */
const firstCapacity = 1024

/** @throws ConfigError for anything but a whole number above 0 */
const positive = (name: string, value: number): number => {
  if (Number.isInteger(value) && value > 0) return value
  throw new ConfigError(`Expected a whole number above 0 for \`${name}\`, got ${value}.`)
}

/**
 * Generates texts for requests that come at any time. It works between `submit` and the last result, a step at a time, and
 * lets other work of the process run between the steps. Requests are begun by priority, and in their order.
 */
export class GenerationScheduler {
  readonly #model: LanguageModel
  readonly #options: SchedulerOptions
  readonly #maxRows: number
  readonly #prefillTokens: number
  readonly #mostIdlePrefill: number
  readonly #cache: SlotCache
  readonly #steps: FixedSteps
  readonly #prefixes: PrefixStore | undefined
  readonly #speculation: Speculation | undefined
  readonly #signals = new AbortListeners()
  #cohorts: Cohort[] = []
  /** In order of priority and arrival. */
  #waiting: ScheduledText[] = []
  /** In order of arrival. */
  #running: ScheduledText[] = []
  readonly #slotGroups = new Map<number, PromptGroup>()
  /** Rows and prompt tokens of a step without other texts; less after memory did not suffice, until all texts are done. */
  #rows: number
  #idlePrefill: number
  #arrivals = 0
  #driving: Promise<void> | undefined
  #version: number | string | undefined

  /** @throws ConfigError for a model that does not write text, or a setting out of range */
  constructor(model: Model, options: SchedulerOptions = {}) {
    this.#model = asLanguageModel(model, 'GenerationScheduler')
    this.#options = options
    this.#maxRows = positive('maxRows', options.maxRows ?? 16)
    this.#prefillTokens = positive('prefillTokens', options.prefillTokens ?? 256)
    const { prefixCacheBytes = 0 } = options
    if (!(prefixCacheBytes >= 0))
      throw new ConfigError(`Expected 0 or more bytes for \`prefixCacheBytes\`, got ${prefixCacheBytes}.`)
    if (prefixCacheBytes > 0) this.#prefixes = new PrefixStore(prefixCacheBytes)
    this.#mostIdlePrefill = Math.max(
      positive('idlePrefillTokens', options.idlePrefillTokens ?? defaultIdlePrefill),
      this.#prefillTokens,
    )
    this.#idlePrefill = this.#mostIdlePrefill
    this.#rows = this.#maxRows
    this.#cache = new SlotCache(model.facts.numLayers, 1)
    this.#steps = new FixedSteps(this.#model, this.#cache, options.graphs)
    if (options.speculation !== undefined) this.#speculation = new Speculation(this.#model, options.speculation)
    model.ready()
    // A decoding step multiplies every weight by a few rows, and the kernel for that needs row-major weights.
    model.body.makeContiguous()
  }

  /** Tokens that were proposed for texts, and those of them that the texts then had. */
  get speculated(): Readonly<Speculation['counts']> {
    return this.#speculation?.counts ?? { proposed: 0, accepted: 0 }
  }

  /** Texts that wait and texts that are computed. */
  get load(): { waiting: number; running: number } {
    return { waiting: this.#waiting.length, running: this.#running.length }
  }

  /**
   * Adds a request for one text.
   * @throws ConfigError as `generate`, for options with several results, and for an unknown adapter
   */
  submit(request: GenerationRequest): GenerationHandle {
    const handles = this.submitGroup(request)
    if (handles.length === 1) return handles[0]
    for (const handle of handles) handle.cancel()
    throw new ConfigError(
      'Expected one text to submit, got several by `numReturnSequences`. Call `submitGroup` instead.',
    )
  }

  /** Adds a request for `numReturnSequences` texts of one prompt, which is computed once. @throws ConfigError as `submit` */
  submitGroup(request: GenerationRequest): GenerationHandle[] {
    const { prompt, options = {}, adapter, priority, signal, tokenizer = this.#options.tokenizer } = request
    const job = prepareJob(this.#model, 'submit', tokenizer, [prompt], options)
    if (job.settings.numBeams > 1)
      throw new ConfigError('Expected one beam for a scheduled request, got `numBeams`. Call `generate` instead.')
    if (!job.settings.useCache)
      throw new ConfigError('A scheduled request needs `useCache`: remove `useCache`, or call `generate`.')
    if (adapter !== undefined) this.#routing(adapter).check(adapter)
    const chooser = new TokenChooser(job.settings, request)
    const texts = textsOf(job)
    const group = new PromptGroup(job.prompts[0], texts.length)
    const handles = texts.map(
      (text) =>
        new ScheduledText({
          job,
          text,
          group,
          chooser,
          adapter,
          priority,
          number: this.#arrivals++,
          onCancel: (cancelled) => this.#remove(cancelled, (one) => one.finish()),
        }),
    )
    this.#waiting = [...this.#waiting, ...handles].sort(inOrder)
    this.#driving ??= this.#drive()
    if (signal !== undefined) this.#signals.add(signal, handles)
    return handles
  }

  /** Resolves when no text waits or is computed. */
  async idle(): Promise<void> {
    while (this.#driving !== undefined) await this.#driving
  }

  /** Cancels all texts and frees the caches. The scheduler can be used again. */
  free(): void {
    for (const text of [...this.#waiting, ...this.#running]) text.cancel()
    this.#forgetSlots()
    this.#steps.free()
    this.#cache.free()
    this.#speculation?.free()
    this.#prefixes?.clear()
    this.#freeCohorts()
    this.#resetLimits()
  }

  #resetLimits(): void {
    this.#rows = this.#maxRows
    this.#idlePrefill = this.#mostIdlePrefill
  }

  async #drive(): Promise<void> {
    const { turn = setImmediate } = this.#options
    try {
      while (true) {
        await turn()
        if (this.#waiting.length + this.#running.length === 0) break
        this.#step()
      }
    } catch (error) {
      // A fault of the scheduler itself: nobody may wait for ever.
      for (const text of [...this.#waiting, ...this.#running]) this.#remove(text, (one) => one.fail(error))
    } finally {
      this.#driving = undefined
      // Weights may be others when texts come again.
      this.#steps.free()
      this.#resetLimits()
    }
  }

  #step(): void {
    const training = this.#model.training
    if (training) this.#model.eval()
    try {
      this.#followVersion()
      if (this.#model.facts.causal) this.#stepDecoder()
      else this.#stepEncoderDecoder()
    } finally {
      if (training) this.#model.train()
    }
  }

  /** Drops what was computed with other weights; texts that are being computed go on from the tokens they have. */
  #followVersion(): void {
    const version = this.#options.version?.() ?? 0
    if (this.#version !== version) {
      this.#prefixes?.clear()
      this.#steps.free()
    }
    this.#version = version
    const names = new Map<string | null | undefined, string>()
    for (const text of [...this.#running, ...this.#waiting]) {
      const { adapter } = text
      try {
        const weights = names.get(adapter) ?? JSON.stringify([version, this.#options.adapters?.version(adapter)])
        names.set(adapter, weights)
        if (text.weights !== undefined && text.weights !== weights) this.#computeAgain(text)
        text.weights = weights
      } catch (error) {
        // The adapter was removed.
        this.#remove(text, (one) => one.fail(error))
      }
    }
  }

  /** Forgets what is cached of a text, and of the prompt that it shares. */
  #computeAgain(text: ScheduledText): void {
    text.group.reset()
    if (text.slot !== undefined) {
      this.#disown(text.slot)
      this.#cache.truncate(text.slot, 0)
    }
    const cohort = this.#cohorts.find(({ texts }) => texts.includes(text))
    if (cohort === undefined) return
    const { texts } = cohort
    this.#dropCohort(cohort)
    this.#running = this.#running.filter((other) => !texts.includes(other))
    this.#waiting = [...texts, ...this.#waiting].sort(inOrder)
  }

  #forgetSlots(): void {
    for (const { group } of [...this.#waiting, ...this.#running]) group.reset()
    for (let slot = 0; slot < this.#cache.size; slot++) this.#cache.truncate(slot, 0)
    this.#slotGroups.clear()
  }

  #stepDecoder(): void {
    this.#admit()
    const decoding = this.#running.filter((text) => !this.#follows(text) && this.#pending(text) === 1)
    const drafts = this.#draftsFor(decoding)
    this.#compute(decoding.map((text) => this.#partOf(text, 1, drafts.get(text))))
    this.#prefill(decoding.length === 0 ? this.#idlePrefill : this.#prefillTokens)
  }

  /** Tokens that may follow texts. Without them, or without memory for them, texts grow by one token. */
  #draftsFor(texts: readonly ScheduledText[]): ReadonlyMap<ScheduledText, readonly number[]> {
    if (this.#speculation === undefined || texts.length === 0) return new Map()
    try {
      return this.#speculation.propose(texts, this.#rows)
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error
      this.#speculation.free()
      return new Map()
    }
  }

  /** Starts waiting texts in free rows, in their order. */
  #admit(): void {
    while (this.#waiting.length > 0 && this.#running.length < this.#rows) {
      const text = this.#waiting[0]
      try {
        const slot = this.#freeSlot(text)
        this.#waiting.shift()
        this.#begin(text, slot)
      } catch (error) {
        if (error instanceof OutOfMemoryError && this.#halve()) return
        this.#remove(text, (one) => one.fail(error))
      }
    }
    for (const text of this.#running.filter(({ unstarted, group }) => unstarted && group.logits !== undefined))
      if (text.slot !== undefined && !text.group.slots.has(text.slot))
        this.#attempt([text], () => this.#copyPrompt(text, text.slot as number))
  }

  /** A slot for a text, with its prompt in it if there is one. */
  #freeSlot(text: ScheduledText): number {
    const used = new Set(this.#running.map(({ slot }) => slot))
    const free = Array.from({ length: this.#cache.size }, (_, slot) => slot).filter((slot) => !used.has(slot))
    const tokens = text.group.prompt.length + Math.min(text.job.maxNewTokens, firstCapacity)
    if (this.#cache.isEmpty) this.#cache.reserve(tokens)
    if (free.length === 0) {
      const { size } = this.#cache
      const wanted = Math.max(2 * size, this.#running.length + this.#waiting.length)
      this.#cache.resize(Math.min(this.#rows, wanted))
      return size
    }
    return free.find((slot) => text.group.slots.has(slot)) ?? free[0]
  }

  #begin(text: ScheduledText, slot: number): void {
    text.slot = slot
    this.#running.push(text)
    if (text.unstarted && text.group.logits !== undefined && this.#copyPrompt(text, slot)) return
    this.#disown(slot)
    this.#cache.truncate(slot, 0)
    if (!this.#follows(text)) this.#reusePrefix(text, slot)
  }

  /** Takes the beginning of a text from the stored prefixes. */
  #reusePrefix(text: ScheduledText, slot: number): void {
    const { seen } = text.text
    // At least one token must be computed, since the logits of the last one are needed.
    for (const block of this.#prefixes?.find(text.weights ?? '', seen, seen.length - 1) ?? [])
      this.#cache.write(slot, block, blockTokens)
    if (text.unstarted) text.reusedTokens = this.#cache.length(slot)
  }

  #storePrefix({ text, slot, weights }: ScheduledText): void {
    if (slot === undefined || weights === undefined) return
    const read = (from: number, count: number) => this.#cache.read(slot, from, count)
    // Neither the newest token nor what was proposed after it is computed as a part of the text.
    this.#prefixes?.add(weights, text.seen, Math.min(this.#cache.length(slot), text.seen.length - 1), read)
  }

  /** Starts a text with the prompt of another text of its group. @returns whether there is one */
  #copyPrompt(text: ScheduledText, slot: number): boolean {
    const { group } = text
    const source = group.slots.has(slot) ? slot : group.slots.values().next().value
    if (source === undefined || group.logits === undefined) {
      // The next text of the group computes the prompt again.
      group.reset()
      return false
    }
    this.#cache.copy(source, slot, group.prompt.length)
    this.#own(slot, group)
    text.reusedTokens = group.prompt.length
    const { logits } = group
    const [choice] = scope(() => chooseTokens(logits, [text]))
    this.#accept(text, choice)
    return true
  }

  /** Passes the logits after a prompt on to the other texts of its group. @param logits float32 [n,V] */
  #shareLogits({ group, slot }: ScheduledText, logits: Tensor, row: number): void {
    if (slot !== undefined) this.#own(slot, group)
    if (group.unstarted > 1) group.logits = noGrad(() => keep(logits.narrow(0, row, 1).clone()))
  }

  #accept(text: ScheduledText, choice: TokenChoice): void {
    const { unstarted } = text
    const ends = text.accept(choice)
    // The prompt as soon as it is computed, the whole text when it ends.
    if ((unstarted && text.reusedTokens < text.group.prompt.length) || ends) this.#storePrefix(text)
    if (ends) this.#remove(text, (one) => one.finish())
  }

  /** Takes a text out of the queues and ends it. */
  #remove(text: ScheduledText, end: (text: ScheduledText) => void): void {
    if (this.#running.includes(text)) this.#running = this.#running.filter((other) => other !== text)
    else this.#waiting = this.#waiting.filter((other) => other !== text)
    if (text.group.leader === text && text.group.logits === undefined) text.group.leader = undefined
    text.slot = undefined
    end(text)
  }

  /**
   * Halves the rows after memory did not suffice, and computes prompts in smaller parts; all texts are computed again.
   * @returns false for a single row whose prompt is already computed in small parts
   */
  #halve(): boolean {
    const rows = Math.floor(Math.min(this.#rows, this.#running.length + this.#waiting.length) / 2)
    if (rows === 0 && this.#idlePrefill === this.#prefillTokens) return false
    this.#rows = Math.max(1, rows)
    this.#idlePrefill = this.#prefillTokens
    this.#prefixes?.clear()
    for (const text of this.#running) text.slot = undefined
    this.#waiting = [...this.#running, ...this.#waiting].sort(inOrder)
    this.#running = []
    this.#forgetSlots()
    this.#steps.free()
    this.#cache.free()
    this.#cache.resize(0)
    this.#freeCohorts()
    releaseDeviceCache()
    return true
  }

  #own(slot: number, group: PromptGroup): void {
    this.#disown(slot)
    this.#slotGroups.set(slot, group)
    group.slots.add(slot)
  }

  #disown(slot: number): void {
    this.#slotGroups.get(slot)?.slots.delete(slot)
    this.#slotGroups.delete(slot)
  }

  /** Whether another text computes the prompt of this one. */
  #follows(text: ScheduledText): boolean {
    const { group } = text
    if (!text.unstarted || group.unstarted === 1) return false
    group.leader ??= text
    return group.leader !== text
  }

  /** Tokens of a text that are not cached yet. */
  #pending({ text, slot }: ScheduledText): number {
    return text.seen.length - this.#cache.length(slot as number)
  }

  /** Computes parts of prompts, at most `budget` tokens. */
  #prefill(budget: number): void {
    const parts: Part[] = []
    let left = budget
    for (const text of [...this.#running].sort(inOrder)) {
      if (left === 0) break
      if (this.#follows(text)) continue
      const pending = this.#pending(text)
      if (pending < 2) continue
      const part = this.#partOf(text, Math.min(pending, left))
      left -= part.ids.length
      parts.push(part)
    }
    this.#compute(parts)
  }

  /** The next `count` tokens of a text that are not cached. */
  #partOf(text: ScheduledText, count: number, drafts: readonly number[] = []): Part {
    const from = this.#cache.length(text.slot as number)
    return { text, ids: [...text.text.seen.slice(from, from + count), ...drafts], from, drafts }
  }

  /** Computes parts in one forward pass for each kind of adapter, and chooses the next tokens. */
  #compute(parts: readonly Part[]): void {
    const batches = new Map<string, Part[]>()
    for (const part of parts) {
      const { adapter } = part.text
      const key = adapter === undefined ? '' : `:${this.#routing(adapter).batchKey(adapter)}`
      batches.set(key, [...(batches.get(key) ?? []), part])
    }
    for (const batch of batches.values()) {
      const order = batch.sort((a, b) => byCodeUnits(a.text.adapter ?? '', b.text.adapter ?? ''))
      this.#computeBatch(order)
    }
  }

  #computeBatch(given: readonly Part[]): void {
    // Memory may have run out in a batch before this one.
    const batch = given.filter(({ text }) => text.slot !== undefined)
    if (batch.length === 0) return
    const texts = batch.map(({ text }) => text)
    this.#attempt(
      texts,
      () => scope(() => this.#forward(batch)),
      () => {
        for (const part of batch) {
          // A token that was cached without a choice after it is computed again.
          const { slot } = part.text
          if (slot !== undefined) this.#cache.truncate(slot, part.from)
          this.#computeBatch([part])
        }
      },
    )
  }

  #forward(batch: readonly Part[]): void {
    const pieces = batch.map(({ text, ids, drafts }) => ({ slot: text.slot as number, ids, wanted: 1 + drafts.length }))
    const { adapter } = batch[0].text
    const steps = adapter === undefined ? this.#steps : undefined
    const run = (model: Model) => nextLogits(model as LanguageModel, this.#cache, pieces, steps)
    const segments = batch.map(({ text, ids }) => ({ adapter: text.adapter ?? null, tokens: ids.length }))
    const logits = adapter === undefined ? run(this.#model) : this.#routing(adapter).run(segments, run)
    let row = 0
    const done: { part: Part; row: number }[] = []
    for (const part of batch) {
      if (this.#pending(part.text) <= 0) done.push({ part, row })
      row += 1 + part.drafts.length
    }
    if (done.length > 0) this.#chooseNext(logits, done)
  }

  /** Chooses the next token of each text, and those after it as long as they are the proposed ones. @param logits float32 [n,V] */
  #chooseNext(logits: Tensor, done: readonly { part: Part; row: number }[]): void {
    let growing = done
    for (let at = 0; growing.length > 0; at++) {
      const rows = growing.map(({ row }) => row + at)
      const wanted = rows.length === logits.shape[0] ? logits : noGrad(() => rowsAt(logits, rows))
      const texts = growing.map(({ part }) => part.text)
      const choices = chooseTokens(wanted, texts)
      // All of what may fail is before the first token is accepted.
      for (const [i, text] of texts.entries())
        if (text.group.leader === text && text.unstarted) this.#shareLogits(text, wanted, i)
      growing = growing.filter(({ part: { text, drafts } }, i) => {
        this.#accept(text, choices[i])
        return text.slot !== undefined && drafts[at] === choices[i].id
      })
    }
    for (const { part } of done) this.#dropDrafts(part)
  }

  /** Forgets what was cached of proposed tokens that the text does not have. */
  #dropDrafts({ text, from, ids, drafts }: Part): void {
    if (drafts.length === 0) return
    const { seen } = text.text
    const known = from + ids.length - drafts.length
    let accepted = 0
    while (accepted < drafts.length && seen[known + accepted] === drafts[accepted]) accepted++
    this.#speculation?.learn(text, drafts.length, accepted)
    if (text.slot !== undefined) this.#cache.truncate(text.slot, seen.length - 1)
  }

  /** The decoders of rows with an encoder are in step, so rows begin together: when half of them are free. */
  #stepEncoderDecoder(): void {
    const free = this.#rows - this.#running.length
    if (this.#waiting.length > 0 && free >= Math.ceil(this.#rows / 2)) {
      const other = this.#waiting.findIndex((text) => !Cohort.fits(text, this.#waiting[0]))
      const texts = this.#waiting.splice(0, Math.min(free, other < 0 ? free : other))
      this.#running.push(...texts)
      this.#beginCohort(texts)
    }
    for (const cohort of [...this.#cohorts]) {
      const [text] = cohort.texts
      if (text === undefined) this.#dropCohort(cohort)
      else if (this.#cohorts.includes(cohort)) {
        const retry = (texts: readonly ScheduledText[]) => {
          this.#dropCohort(cohort)
          for (const one of texts) this.#beginCohort([one])
        }
        const step = () => {
          for (const { text: grown, choice } of this.#with(text.adapter, 0, () => cohort.step()))
            this.#accept(grown, choice)
        }
        this.#attempt(cohort.texts, step, retry)
      }
    }
  }

  #beginCohort(texts: readonly ScheduledText[]): void {
    const begin = () => {
      const make = (model: Model) => new Cohort(model as LanguageModel, texts)
      this.#cohorts.push(this.#with(texts[0].adapter, 0, make))
    }
    this.#attempt(texts, begin, (each) => {
      for (const text of each) this.#beginCohort([text])
    })
  }

  #freeCohorts(): void {
    for (const cohort of this.#cohorts) cohort.free()
    this.#cohorts = []
  }

  #dropCohort(cohort: Cohort): void {
    cohort.free()
    this.#cohorts = this.#cohorts.filter((other) => other !== cohort)
  }

  #with<Result>(adapter: string | null | undefined, tokens: number, run: (model: Model) => Result): Result {
    return adapter === undefined ? run(this.#model) : this.#routing(adapter).run([{ adapter, tokens }], run)
  }

  /**
   * Runs a step of some texts. Where memory does not suffice, the rows are halved. What fails together is tried text by
   * text, so that a request that is at fault is the only one that fails.
   */
  #attempt(texts: readonly ScheduledText[], step: () => void, retry?: (texts: readonly ScheduledText[]) => void): void {
    try {
      step()
    } catch (error) {
      if (error instanceof OutOfMemoryError && this.#halve()) return
      if (texts.length > 1) retry?.(texts)
      else this.#remove(texts[0], (one) => one.fail(error))
    }
  }

  #routing(adapter: string | null): AdapterRouting {
    const { adapters } = this.#options
    if (adapters !== undefined) return adapters
    throw new ConfigError(`\`adapter\` needs the scheduler's \`adapters\`: pass them, or leave out "${adapter}".`)
  }
}
