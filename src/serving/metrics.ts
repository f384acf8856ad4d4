// Metrics of the server in Prometheus' text format, under the names of vLLM where it has one.

type Labels = Readonly<Record<string, string>>

const escapeLabel = (text: string): string => text.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')

const labelText = (labels: Labels): string => {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  return parts.length === 0 ? '' : `{${parts.join(',')}}`
}

/** Upper bounds of buckets in seconds. */
const secondBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]
const tokenBuckets = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536]

interface Series {
  labels: Labels
  value: number
  /** Of a histogram: observations in each bucket, and their number. */
  counts?: number[]
  count?: number
}

/** One metric with all its label values. */
class Metric {
  readonly #series = new Map<string, Series>()

  constructor(
    readonly name: string,
    readonly kind: 'counter' | 'gauge' | 'histogram',
    readonly help: string,
    readonly buckets: readonly number[] = [],
  ) {}

  add(labels: Labels, amount = 1): void {
    this.#of(labels).value += amount
  }

  set(labels: Labels, value: number): void {
    this.#of(labels).value = value
  }

  observe(labels: Labels, value: number): void {
    const series = this.#of(labels)
    series.value += value
    series.count = (series.count ?? 0) + 1
    series.counts ??= this.buckets.map(() => 0)
    const at = this.buckets.findIndex((bound) => value <= bound)
    if (at >= 0) series.counts[at]++
  }

  #of(labels: Labels): Series {
    const key = labelText(labels)
    const found = this.#series.get(key) ?? { labels, value: 0 }
    this.#series.set(key, found)
    return found
  }

  *lines(): Iterable<string> {
    if (this.#series.size === 0) return
    yield `# HELP ${this.name} ${this.help}`
    yield `# TYPE ${this.name} ${this.kind}`
    for (const { labels, value, counts, count = 0 } of this.#series.values()) {
      if (this.kind !== 'histogram') {
        yield `${this.name}${labelText(labels)} ${value}`
        continue
      }
      let below = 0
      for (const [i, bound] of this.buckets.entries()) {
        below += counts?.[i] ?? 0
        yield `${this.name}_bucket${labelText({ ...labels, le: String(bound) })} ${below}`
      }
      yield `${this.name}_bucket${labelText({ ...labels, le: '+Inf' })} ${count}`
      yield `${this.name}_sum${labelText(labels)} ${value}`
      yield `${this.name}_count${labelText(labels)} ${count}`
    }
  }
}

const gauge = (name: string, help: string): Metric => new Metric(name, 'gauge', help)
const counter = (name: string, help: string): Metric => new Metric(name, 'counter', help)
const histogram = (name: string, buckets: readonly number[], help: string): Metric =>
  new Metric(name, 'histogram', help, buckets)

/** All metrics of a server. */
export class Metrics {
  readonly running = gauge('vllm:num_requests_running', 'Texts that are being generated.')
  readonly waiting = gauge('vllm:num_requests_waiting', 'Texts that wait to be generated.')
  readonly promptTokens = counter('vllm:prompt_tokens_total', 'Tokens of prompts.')
  readonly newTokens = counter('vllm:generation_tokens_total', 'Generated tokens.')
  readonly prefixQueries = counter(
    'vllm:prefix_cache_queries_total',
    'Prompt tokens that were looked up in the prefix cache.',
  )
  readonly prefixHits = counter('vllm:prefix_cache_hits_total', 'Prompt tokens that the prefix cache had.')
  readonly draftTokens = counter(
    'vllm:spec_decode_num_draft_tokens_total',
    'Tokens that speculative decoding proposed.',
  )
  readonly acceptedTokens = counter(
    'vllm:spec_decode_num_accepted_tokens_total',
    'Proposed tokens that the texts then had.',
  )
  readonly finished = counter('vllm:request_success_total', 'Finished texts by reason.')
  readonly firstToken = histogram(
    'vllm:time_to_first_token_seconds',
    secondBuckets,
    'Seconds to the first token of a text.',
  )
  readonly betweenTokens = histogram(
    'vllm:inter_token_latency_seconds',
    secondBuckets,
    'Seconds between two tokens of a text.',
  )
  readonly latency = histogram('vllm:e2e_request_latency_seconds', secondBuckets, 'Seconds of a request.')
  readonly requestPromptTokens = histogram('vllm:request_prompt_tokens', tokenBuckets, 'Prompt tokens of a request.')
  readonly requestNewTokens = histogram('vllm:request_generation_tokens', tokenBuckets, 'Generated tokens of a text.')
  readonly responses = counter('tunesmith:http_responses_total', 'Responses by path and status.')
  readonly models = gauge('tunesmith:models', 'Models that requests can name.')

  /** The metrics as Prometheus reads them. */
  render(): string {
    const all = Object.values(this).filter((value): value is Metric => value instanceof Metric)
    return `${all.flatMap((metric) => [...metric.lines()]).join('\n')}\n`
  }
}
