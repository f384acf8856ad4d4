// What a run loses when it ends before its time: `node --import tsx bench/lost-work.ts [places]` kills (SIGKILL) or hangs up (SIGHUP) the
// program at random places of a small pretraining and a small fine-tuning, or lets a loss be NaN, memory run out or the disk be full there,
// resumes it, and compares steps and bytes with undisturbed runs. `[places] faults` leaves out the signals.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createRandom, sha256 } from '../src/core/index.ts'
import { encodeShards } from '../src/data/index.ts'
import { type FinetuneInput, finetune, type PretrainInput, pretrain, resume } from '../src/runs/index.ts'
import { setThreads } from '../src/tensor/index.ts'
import { trainTokenizer, writeTokenizerFolder } from '../src/tokenizers/index.ts'
import { type Fault, mountDisk, ownFaults, poisonableNames, registerPoisonable } from './lost-work/faults.ts'

const program = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))
const interval = 5
const places = Number(process.argv[2] ?? 30)
const random = createRandom('lost work')
const root = mkdtempSync(join(tmpdir(), 'tunesmith-lost-'))
const at = (name: string) => join(root, name)

const start = (...args: string[]): ChildProcess =>
  spawn(process.execPath, ['--import', 'tsx', program, ...args], {
    stdio: 'ignore',
    env: { ...process.env, OMP_NUM_THREADS: '1', OMP_WAIT_POLICY: 'passive' },
  })
const ended = (child: ChildProcess): Promise<number | null> => new Promise((resolve) => child.on('exit', resolve))

const linesOf = (run: string): string[] => {
  try {
    return readFileSync(join(run, 'events.jsonl'), 'utf8').split('\n')
  } catch {
    return []
  }
}
const stepsOf = (run: string): number => linesOf(run).filter((line) => line.includes('"type":"step"')).length
const savedStep = (run: string): number =>
  Math.max(0, ...readdirSync(join(run, 'checkpoints')).map((name) => Number(/^step-(\d+)$/.exec(name)?.[1] ?? 0)))
const weightsOf = (run: string): string => sha256(readFileSync(join(run, 'model', 'model.safetensors')))

const words = 'the a house river old green walks sleeps over under bird stone with and small light of rain'.split(' ')
const sentence = () =>
  Array.from({ length: 10 + random.integer(20) }, () => words[random.integer(words.length)]).join(' ')

/** A run by its command and the recipe without its folder. */
interface Case {
  command: 'pretrain' | 'finetune'
  recipe: object
  steps: number
}

interface Loss {
  /** Recorded steps that are lost. */
  lost: number
  /** Whether the resumed run has the bytes of an undisturbed one. */
  equal: boolean
}

const makeCases = async (): Promise<Case[]> => {
  const texts = Array.from({ length: 300 }, sentence)
  const { files } = await trainTokenizer(texts, { type: 'wordpiece', vocabSize: 90 }, { workers: 1 })
  await writeTokenizerFolder(at('tokenizer'), files)
  await encodeShards(texts, at('tokenizer'), at('shards'), { validation: 0.1 }, { workers: 1 })
  const rows = texts.map((text) => `${text},${text.includes('bird') ? 'bird' : 'none'}`)
  writeFileSync(at('rows.csv'), `text,label\n${rows.join('\n')}\n`)
  const shared = { checkpoint: { steps: interval }, batch: { sequences: 4 } }
  const pretrain = {
    ...shared,
    model: { type: 'bert', preset: 'test', config: { numLayers: 1 } },
    objective: { type: 'masked-lm' },
    data: at('shards'),
    tokenizer: at('tokenizer'),
    maxLength: 32,
    validationExamples: 8,
    evaluate: { steps: 7 },
    budget: { steps: 60 },
    average: { decay: 0.9 },
  }
  const finetune = {
    ...shared,
    base: at('whole-pretrain'),
    task: 'sequence-classification',
    data: at('rows.csv'),
    maxLength: 32,
    budget: { steps: 60 },
    evaluate: { steps: 20 },
    untrainedBaseline: false,
  }
  return [
    { command: 'pretrain', recipe: pretrain, steps: 60 },
    { command: 'finetune', recipe: finetune, steps: 60 },
  ]
}

const begin = ({ command, recipe }: Case, out: string): ChildProcess => {
  writeFileSync(`${out}.json`, JSON.stringify({ command, ...recipe, out }))
  return start(command, '--recipe', `${out}.json`)
}

/** Ends a run by a signal after a number of its steps; the recorded steps that are lost, and whether the resumed bytes are equal. */
const disturb = async (one: Case, signal: 'SIGKILL' | 'SIGHUP', name: string): Promise<Loss> => {
  const out = at(name)
  const after = 1 + random.integer(one.steps - 20)
  // Events are written in batches, mostly right before a checkpoint: the delay spreads the kills over the steps between.
  const delay = random.integer(250)
  const child = begin(one, out)
  const gone = ended(child)
  while (child.exitCode === null && child.signalCode === null && stepsOf(out) < after)
    await new Promise((resolve) => setTimeout(resolve, 2))
  await new Promise((resolve) => setTimeout(resolve, delay))
  child.kill(signal)
  await gone
  const lost = stepsOf(out) - savedStep(out)
  await ended(start('resume', out))
  const equal = weightsOf(out) === weightsOf(at(`whole-${one.command}`))
  rmSync(out, { recursive: true, force: true })
  return { lost, equal }
}

const print = (what: string, results: readonly Loss[]): void => {
  const lost = results.map((result) => result.lost)
  console.log(
    `${what}: ${results.length} places, lost steps at most ${Math.max(...lost)} of an interval of ${interval} (${lost.join(' ')}), equal bytes after resume ${results.filter(({ equal }) => equal).length}`,
  )
}

const disturbBySignals = async (cases: readonly Case[]): Promise<void> => {
  for (const one of cases)
    for (const signal of ['SIGKILL', 'SIGHUP'] as const) {
      const results: Loss[] = []
      for (let i = 0; i < Math.ceil(places / 4); i++)
        results.push(await disturb(one, signal, `${one.command}-${signal}-${i}`))
      print(`${one.command} ${signal}`, results)
    }
}

/** The recipe of a run in this process, whose loss can be poisoned. */
const poisonableRecipe = ({ command, recipe }: Case, out: string): PretrainInput | FinetuneInput =>
  ({
    ...recipe,
    ...(command === 'pretrain' ? { objective: { type: poisonableNames.objective } } : { task: poisonableNames.task }),
    out,
  }) as PretrainInput | FinetuneInput

const runHere = ({ command }: Case, recipe: PretrainInput | FinetuneInput, onStep: (step: number) => void) => {
  const listener: Parameters<typeof pretrain>[1] = {
    onEvent: (event) => void (event.type === 'step' && onStep(event.step)),
  }
  return command === 'pretrain'
    ? pretrain(recipe as PretrainInput, listener)
    : finetune(recipe as FinetuneInput, listener)
}

/** Lets a run of this process meet a fault after a step, ends the fault and resumes the run. */
const meet = async (one: Case, fault: Fault, folder: string, whole: string): Promise<Loss> => {
  const out = join(folder, 'run')
  const after = 1 + random.integer(one.steps - 2)
  let steps = 0
  const failed = await runHere(one, poisonableRecipe(one, out), (step) => {
    steps = step
    if (step === after) fault.begin()
  }).then(
    () => false,
    () => true,
  )
  fault.end()
  if (!failed) throw new Error(`Expected ${fault.name} after step ${after} to end the run, got a finished one.`)
  const lost = steps - savedStep(out)
  await resume(out, { onEvent() {} })
  const equal = weightsOf(out) === weightsOf(whole)
  rmSync(out, { recursive: true, force: true })
  return { lost, equal }
}

const disturbByFaults = async (cases: readonly Case[]): Promise<void> => {
  setThreads(1)
  registerPoisonable()
  const [disk, plain] = [at('disk'), at('plain')]
  for (const folder of [disk, plain]) mkdirSync(folder)
  const mounted = mountDisk(disk)
  if (mounted === undefined) console.log('a full disk: not measured, as mounting needs more rights')
  try {
    for (const one of cases) {
      const whole = at(`here-${one.command}`)
      await runHere(one, poisonableRecipe(one, whole), () => {})
      for (const fault of [...ownFaults, ...(mounted === undefined ? [] : [mounted.fault])]) {
        const results: Loss[] = []
        for (let i = 0; i < Math.ceil(places / 6); i++)
          results.push(await meet(one, fault, fault === mounted?.fault ? disk : plain, whole))
        print(`${one.command}, ${fault.name}`, results)
      }
    }
  } finally {
    mounted?.unmount()
  }
}

try {
  mkdirSync(root, { recursive: true })
  const cases = await makeCases()
  for (const one of cases) await ended(begin(one, at(`whole-${one.command}`)))
  if (process.argv[3] !== 'faults') await disturbBySignals(cases)
  await disturbByFaults(cases)
} finally {
  rmSync(root, { recursive: true, force: true })
}
