// The benchmarks that come with Tunesmith, each a task file, and task files of users: JSON, or a module that exports one.

import { existsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { ConfigError, DataError, didYouMean, importUserModule } from '../../../core/index.ts'
import { findMetric, registerMetricInfo } from '../../../tracking/index.ts'
import { readJson } from '../../records/json-rows.ts'
import { compileTask, defineHarnessTask, type HarnessTask } from '../task-file.ts'

const arcEasy = defineHarnessTask({
  type: 'multiple-choice',
  name: 'arc_easy',
  summary: 'grade-school science questions, the easy set',
  source: 'Clark et al. 2018, arXiv:1803.05457',
  data: { hub: 'allenai/ai2_arc/ARC-Easy' },
  prompt: 'Question: {{question}}\nAnswer:',
  choices: '{{choices.text | tojson}}',
  labels: '{{choices.label | tojson}}',
  target: '{{answerKey}}',
})

const arcChallenge = defineHarnessTask({
  ...arcEasy,
  name: 'arc_challenge',
  summary: 'grade-school science questions, the challenge set',
  data: { hub: 'allenai/ai2_arc/ARC-Challenge' },
})

const boolq = defineHarnessTask({
  type: 'multiple-choice',
  name: 'boolq',
  summary: 'yes-or-no questions about a passage',
  source: 'Clark et al. 2019, arXiv:1905.10044',
  data: { hub: 'aps/super_glue/boolq', split: 'validation' },
  prompt: '{{passage}}\nQuestion: {{question}}?\nAnswer:',
  choices: ['no', 'yes'],
  target: '{{label}}',
  metrics: ['acc'],
  fewShot: { excludeRow: true },
})

const gsm8k = defineHarnessTask({
  type: 'generation',
  name: 'gsm8k',
  summary: 'word problems of arithmetic, answered step by step',
  source: 'Cobbe et al. 2021, arXiv:2110.14168',
  data: { hub: 'openai/gsm8k/main' },
  prompt: 'Question: {{question}}\nAnswer:',
  target: '{{answer}}',
  stop: ['Question:', '</s>', '<|im_end|>'],
  filters: [
    { name: 'strict-match', pattern: '#### (-?[0-9.,]+)' },
    { name: 'flexible-extract', pattern: '(-?[$0-9.,]{2,})|(-?[0-9]+)', occurrence: 'last' },
  ],
  ignoreCase: true,
  ignorePatterns: [',', '\\$', '[\\s\\S]*#### ', '\\.(?=\\n?$)'],
  fewShot: { count: 5 },
})

/** The order is that of lm-eval: a title mark becomes a full stop, other brackets go, double spaces become single ones. */
const steps = [
  'trim' as const,
  { replace: ' \\[title\\]', with: '. ' },
  { replace: '\\[.*?\\]', with: '' },
  { replace: ' {2}', with: ' ' },
]

const hellaswag = defineHarnessTask({
  type: 'multiple-choice',
  name: 'hellaswag',
  summary: 'the most plausible continuation of a description',
  source: 'Zellers et al. 2019, arXiv:1905.07830',
  data: { hub: 'Rowan/hellaswag', split: 'validation' },
  columns: {
    query: { value: '{{activity_label}}: {{ctx_a}} {{ctx_b[:1] | upper}}{{ctx_b[1:] | lower}}', steps },
    choices: { value: '{{endings | tojson}}', list: true, steps },
  },
  prompt: '{{query}}',
  choices: '{{choices | tojson}}',
  target: '{{label}}',
  fewShot: { excludeRow: true },
})

const ifeval = defineHarnessTask({
  type: 'instructions',
  name: 'ifeval',
  summary: 'instructions that a program can verify',
  source: 'Zhou et al. 2023, arXiv:2311.07911',
  data: { hub: 'google/IFEval', split: 'train' },
  prompt: '{{prompt}}',
  instructions: 'instruction_id_list',
  arguments: 'kwargs',
})

const lambada = defineHarnessTask({
  type: 'log-likelihood',
  name: 'lambada',
  summary: 'the last word of a passage',
  source: 'Paperno et al. 2016, arXiv:1606.06031',
  data: { hub: 'EleutherAI/lambada_openai/default' },
  prompt: "{{text.split(' ')[:-1] | join(' ')}}",
  target: " {{text.split(' ')[-1]}}",
  fewShot: { split: 'test' },
})

const mmlu = defineHarnessTask({
  type: 'multiple-choice',
  name: 'mmlu',
  summary: 'exam questions of 57 subjects',
  source: 'Hendrycks et al. 2020, arXiv:2009.03300',
  data: { hub: 'cais/mmlu/all' },
  group: '{{subject}}',
  description: "The following are multiple choice questions (with answers) about {{subject | replace('_', ' ')}}.\n\n",
  prompt: '{{question | trim}}\nA. {{choices[0]}}\nB. {{choices[1]}}\nC. {{choices[2]}}\nD. {{choices[3]}}\nAnswer:',
  choices: ['A', 'B', 'C', 'D'],
  target: '{{answer}}',
  metrics: ['acc'],
  fewShot: { split: 'dev', choice: 'first' },
})

const openbookqa = defineHarnessTask({
  type: 'multiple-choice',
  name: 'openbookqa',
  summary: 'science questions that need a fact and common knowledge',
  source: 'Mihaylov et al. 2018, arXiv:1809.02789',
  data: { hub: 'allenai/openbookqa/main' },
  prompt: '{{question_stem}}',
  choices: '{{choices.text | tojson}}',
  labels: '{{choices.label | tojson}}',
  target: '{{answerKey}}',
})

const piqa = defineHarnessTask({
  type: 'multiple-choice',
  name: 'piqa',
  summary: 'physical common sense: which of two solutions reaches a goal',
  source: 'Bisk et al. 2020, arXiv:1911.11641',
  data: { hub: 'baber/piqa', split: 'validation' },
  prompt: 'Question: {{goal}}\nAnswer:',
  choices: ['{{sol1}}', '{{sol2}}'],
  target: '{{label}}',
  fewShot: { excludeRow: true },
})

const winogrande = defineHarnessTask({
  type: 'multiple-choice',
  name: 'winogrande',
  summary: 'which of two names a blank stands for, by partial scoring',
  source: 'Sakaguchi et al. 2019, arXiv:1907.10641',
  data: { hub: 'allenai/winogrande/winogrande_xl', split: 'validation' },
  prompt: ["{{sentence.split('_')[0]}}{{option1}}", "{{sentence.split('_')[0]}}{{option2}}"],
  continuation: "{{sentence.split('_')[1:] | join('_') | trim}}",
  labels: ['1', '2'],
  target: '{{answer}}',
  metrics: ['acc'],
  fewShot: { excludeRow: true },
})

export const benchmarks = [
  arcEasy,
  arcChallenge,
  hellaswag,
  piqa,
  winogrande,
  boolq,
  openbookqa,
  mmlu,
  gsm8k,
  ifeval,
  lambada,
] as const

/** Names of the benchmarks that come with Tunesmith. */
export const benchmarkNames = (): string[] => benchmarks.map(({ name }) => name)

/** Whether a name is that of a task file. */
export const isTaskFile = (name: string): boolean => /\.(json|ts|mts|js|mjs)$/.test(name)

const readTaskFile = async (file: string): Promise<HarnessTask> => {
  const path = resolve(file)
  if (!existsSync(path)) throw new DataError('Expected a task file, found nothing. Check the path.', path)
  const content = path.endsWith('.json') ? await readJson(path) : (await importUserModule(path)).default
  if (content === undefined)
    throw new ConfigError(`${path}: expected \`export default defineHarnessTask({ … })\`, got no default export.`)
  return compileTask(content, file, dirname(path))
}

/**
 * The benchmarks of these names, or of these task files. Their metrics become known to checkpoints and reports, as `name.metric`.
 * @throws ConfigError for an unknown name, for one that is given twice, and for faults of a task file
 */
export const findHarnessTasks = async (given: readonly string[]): Promise<HarnessTask[]> => {
  const known = benchmarkNames()
  // The command line splits lists of plain names only, not those with a path among them.
  const names = given.flatMap((name) => (existsSync(name) ? [name] : name.split(',')))
  const unknown = names.filter((name) => !isTaskFile(name) && !known.includes(name))
  if (unknown.length > 0)
    throw new ConfigError(
      unknown.map(
        (name) =>
          `Expected one of ${known.join(', ')} or a task file (.json, .ts) for \`harness\`, got "${name}".${didYouMean(name, known)}`,
      ),
    )
  const tasks = await Promise.all(
    names.map((name) =>
      isTaskFile(name)
        ? readTaskFile(name)
        : compileTask(
            benchmarks.find((one) => one.name === name),
            name,
          ),
    ),
  )
  const twice = tasks.find(({ name }, i) => tasks.findIndex((other) => other.name === name) < i)
  if (twice !== undefined) throw new ConfigError(`The task ${twice.name} is given twice for \`harness\`: rename one.`)
  for (const { name, metrics } of tasks)
    for (const { name: metric, direction, unit, summary } of metrics) {
      const full = harnessMetricName(name, metric)
      if (findMetric(full) === undefined) registerMetricInfo({ name: full, direction, unit, summary })
    }
  return tasks
}

/** The name of a benchmark's metric in events, checkpoints and reports. */
export const harnessMetricName = (task: string, metric: string): string => `${task}.${metric}`
