// A run, or a comparison of runs, as one HTML file that needs no server: the studio's own pages with the answers of its API in them. What
// names places of this machine is shortened, and what may be a secret is left out.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError } from '../../../core/index.ts'
import { escapeHtml, withoutPlaces } from '../../../tracking/index.ts'
import { builtPages } from '../built-pages.ts'
import { comparisonPath, encodeIds, matrixPathOf, pairFilters, predictionsPath } from '../compare-paths.ts'
import type { Ask } from '../endpoint.ts'
import { maxCurves } from '../endpoints/run-pages.ts'
import type { Studio } from '../studio.ts'
import type { RunDetails, RunList, RunSamples, SharedFile } from '../types/api-types.ts'
import type { MatrixState, RunComparisonAnswer } from '../types/compare-types.ts'

/** What a shared file has, apart from the answers. */
interface ShareSettings {
  title: string
  /** Address of the first page, such as `#/runs/base`. */
  home: string
  /** Pages that the file has, by their paths. */
  pages: string[]
  /** Buckets of curves, than which its zoom is no finer, and steps whose samples it has. */
  content: { buckets: number; samples: number }
}

/** Text in a script element. */
const scriptJson = (value: unknown): string => JSON.stringify(value).replaceAll('<', '\\u003c')

const hashOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

/** The whole page. @throws SetupError if set-up has not built the pages */
const renderSharedFile = async (file: SharedFile): Promise<string> => {
  const folder = await builtPages('share.js')
  const read = (name: string) => readFile(join(folder, name), 'utf8')
  const script = (await read('share.js')).replaceAll('</script', '<\\/script')
  const style = await read('share.css')
  // Nothing can be loaded or sent, and no other script runs.
  const policy = `default-src 'none'; script-src ${hashOf(script)}; style-src 'unsafe-inline'; img-src data: blob:`
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8">',
    `<meta http-equiv="content-security-policy" content="${escapeHtml(policy)}">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${escapeHtml(file.title)}</title><style>${style}</style></head><body><div id="app"></div>`,
    `<script type="application/json" id="shared">${scriptJson(file)}</script>`,
    `<script type="module">${script}</script></body></html>\n`,
  ].join('\n')
}

/** A studio, and how its API is asked. */
interface SharedStudio {
  studio: Studio
  ask: Ask
}

/**
 * Answers of the API by their path.
 * @param options.keepErrors keeps answers that are errors, which the page shows in words
 * @throws ConfigError with the message of an answer that is an error
 */
const answersOf = async (
  ask: Ask,
  paths: Record<string, string>,
  { keepErrors = false } = {},
): Promise<Record<string, unknown>> => {
  const answers: Record<string, unknown> = {}
  for (const [key, path] of Object.entries(paths)) {
    const response = await ask(path)
    const body = (await response.json()) as { error?: { message: string } }
    if (!response.ok && !keepErrors)
      throw new ConfigError(body.error?.message ?? `${path} gave status ${response.status}.`)
    answers[key] = body
  }
  return answers
}

/** Answers that the page of a run asks for. */
const runAnswers = async (
  ask: Ask,
  id: string,
  { buckets, samples: maxSamples }: ShareSettings['content'],
): Promise<Record<string, unknown>> => {
  const path = `/api/runs/${encodeURIComponent(id)}`
  const { [path]: details, [`${path}/samples`]: list } = await answersOf(ask, {
    [path]: path,
    [`${path}/samples`]: `${path}/samples`,
  })
  const { columns } = details as RunDetails
  const names = Object.values(columns).flat()
  const { steps } = list as RunSamples
  const samples: RunSamples['samples'] = []
  const every = Math.ceil(steps.length / maxSamples)
  const kept = steps.filter((_, i) => i % every === 0 || i === steps.length - 1)
  for (let i = 0; i < kept.length; i += 8) {
    const part = `${path}/samples?steps=${kept.slice(i, i + 8).join(',')}`
    samples.push(...((await answersOf(ask, { part })).part as RunSamples).samples)
  }
  const curves = `${path}/curves?names=${encodeURIComponent(names.slice(0, maxCurves).join(','))}&buckets=${buckets}`
  const more = names.length === 0 ? {} : { [`${path}/curves`]: curves }
  return {
    [path]: details,
    [`${path}/samples`]: { steps: kept, samples },
    ...(await answersOf(ask, { ...more, [`${path}/files`]: `${path}/files` })),
  }
}

/**
 * Runs of a studio, and further answers of its API, as the text of an HTML file.
 * @param more answers of the API by path, which other pages ask for
 * @throws ConfigError for an unknown run
 */
const sharePages = async (
  { studio, ask }: SharedStudio,
  ids: readonly string[],
  { content, ...settings }: ShareSettings,
  more: Record<string, unknown> = {},
): Promise<string> => {
  const answers: Record<string, unknown> = { ...more }
  for (const id of ids) Object.assign(answers, await runAnswers(ask, id, content))
  const { '/api/runs': list } = await answersOf(ask, { '/api/runs': '/api/runs' })
  const runs = (list as RunList).runs.filter(({ id }) => ids.includes(id))
  answers['/api/runs'] = { runs, total: runs.length, roots: [] } satisfies RunList
  const made = new Date().toISOString()
  // The paths of the API are no paths of this machine.
  const values = withoutPlaces(Object.values(answers), studio.runs.roots) as unknown[]
  const clean = Object.fromEntries(Object.keys(answers).map((path, i) => [path, values[i]]))
  return renderSharedFile({ ...settings, answers: clean, made })
}

/** One run of a studio as the text of an HTML file. */
export const shareRun = (from: SharedStudio, id: string): Promise<string> =>
  sharePages(from, [id], {
    ...{ title: id, home: `#/runs/${encodeURIComponent(id)}`, pages: ['runs'] },
    content: { buckets: 2000, samples: 200 },
  })

/** Runs of one task whose predictions are in the file pair by pair: the best ones. */
const maxPaired = 4

/** Buckets of curves and steps with samples of each run, of which a file has many. */
const content = { buckets: 600, samples: 20 }

/** Pairs of runs that were scored on the same records, in both orders. */
const pairsOf = (runs: RunComparisonAnswer['runs']): [string, string][] => {
  const groups = new Map<string, string[]>()
  for (const { id, group } of runs) groups.set(group, [...(groups.get(group) ?? []), id])
  return [...groups.values()].flatMap((ids) => {
    const best = ids.slice(0, maxPaired)
    return best.flatMap((a) => best.filter((b) => b !== a).map((b): [string, string] => [a, b]))
  })
}

/**
 * A comparison of runs of a studio as the text of an HTML file.
 * @param ids at most `maxCompared`
 * @throws ConfigError for an unknown run
 */
export const shareComparison = async (from: SharedStudio, ids: readonly string[]): Promise<string> => {
  const path = comparisonPath(ids)
  const answers = await answersOf(from.ask, { [path]: path })
  const { runs } = answers[path] as RunComparisonAnswer
  const paths = [
    ...runs.map(({ id }) => `/api/runs/${encodeURIComponent(id)}/evaluation`),
    ...pairsOf(runs).flatMap(([a, b]) => pairFilters.map((filter) => predictionsPath(a, b, { filter }))),
  ]
  // Some runs have no predictions: the page says why, as it does in the studio.
  const views = await answersOf(from.ask, Object.fromEntries(paths.map((each) => [each, each])), { keepErrors: true })
  // Every specialist on every task, if it was computed: its models cannot run in a file.
  const scored = [...new Set(runs.map(({ id }) => id))]
  const matrixAt = matrixPathOf(scored)
  const matrix = scored.length === 0 ? {} : await answersOf(from.ask, { [matrixAt]: matrixAt })
  const isDone = (matrix[matrixAt] as MatrixState | undefined)?.state === 'done'
  return sharePages(
    from,
    ids,
    {
      title: `Comparison of ${ids.length} runs`,
      home: `#/compare?runs=${encodeURIComponent(encodeIds(ids))}`,
      pages: ['runs', 'compare'],
      content,
    },
    { ...answers, ...views, ...(isDone ? matrix : {}) },
  )
}
