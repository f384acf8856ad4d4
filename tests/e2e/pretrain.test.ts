// Commands around runs, on tiny data: train, stop by Ctrl-C, go on, prove, list, measure, use. What people type is what is tested.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { memoryStatistics } from '../../src/tensor/index.ts'
import { program } from '../setup/program.ts'
import { makeDocuments, makeTextFolder, repository, runChild, runHere, type TextFolder } from './run-folder.ts'

let text: TextFolder
beforeAll(async () => {
  text = await makeTextFolder('wordpiece', 120)
})
afterAll(() => text.remove())

const small = [
  'hidden-size',
  '32',
  'num-layers',
  '2',
  'numHeads',
  '2',
  'intermediate-size',
  '64',
  'max-positions',
  '64',
]

const flagsOf = (out: string, steps: number) => [
  'pretrain',
  '--model.type',
  'bert',
  ...small.map((word, i) => (i % 2 === 0 ? `--model.config.${word}` : word)),
  '--objective.type',
  'masked-lm',
  '--data',
  text.shards,
  '--tokenizer',
  text.tokenizer,
  '--out',
  out,
  '--max-length',
  '32',
  '--batch.sequences',
  '8',
  '--budget.steps',
  String(steps),
  '--learning-rate',
  '0.005',
  '--optimizer.beta2',
  '0.98',
  '--validation-examples',
  '16',
]

/** Every file of the model, by its name; the card names the run and its time. */
const modelHash = (run: string): Record<string, string> => {
  const folder = join(run, 'model')
  return Object.fromEntries(
    readdirSync(folder)
      .filter((file) => file !== 'README.md')
      .map((file) => [
        file,
        createHash('sha256')
          .update(readFileSync(join(folder, file)))
          .digest('hex'),
      ]),
  )
}

describe('pretrain', () => {
  it('refuses a memory budget that the weights do not fit in, and one without room for their gradients', async () => {
    const tried = async (bytes: number) => {
      const { code, stderr } = await runHere([
        ...flagsOf(join(text.path, `budget-${bytes}`), 2),
        '--memory-budget',
        String(bytes),
      ])
      return { code, stderr }
    }
    expect(await tried(1000)).toEqual({
      code: 2,
      stderr: expect.stringMatching(
        /Expected a run that fits in memory, got one that takes .* more than the 1000 B of `--memory-budget`; .* smaller model/,
      ),
    })
    // Tensors of other tests in this process count too. The weights of the model take about 90 kB, as do their gradients.
    const { inUse } = memoryStatistics()
    expect(await tried(inUse + 300_000)).toEqual({
      code: 2,
      stderr: expect.stringMatching(/Expected a run that fits in memory, got one that takes .* of `--memory-budget`/),
    })
    expect(memoryStatistics().limit).toBeUndefined()
  })

  it('trains, shows the pre-flight, the bar, evaluations and samples, and prints one JSON document', async () => {
    const out = join(text.path, 'json')
    const { code, stdout, stderr } = await runChild([
      ...flagsOf(out, 30),
      '--evaluate.steps',
      '15',
      '--sample.steps',
      '30',
      '--json',
    ])
    expect(code).toBe(0)
    const result = JSON.parse(stdout) as {
      reason: string
      steps: number
      metrics: Record<string, number>
      model: string
    }
    expect(result).toMatchObject({ reason: 'finished', steps: 30, model: join(out, 'model') })
    expect(result.metrics.perplexity).toBeCloseTo(Math.exp(result.metrics.loss), 6)
    expect(stderr).toMatch(/⟦\w+\|\[MASK\]⟧/)
    expect(stderr).toMatch(/% with a target; (nothing|[\d.]+ % of the text) truncated/)
    expect(stderr).toMatch(/plan: [\d.]+ MiB of tensors at the peak .* in all, of /)
    expect(stderr).toMatch(/step 30\/30 · loss [\d.]+ · \S+ tokens\/s · \d+ % of matmul/)
    expect(stderr).toMatch(/step 15: validation: loss [\d.]+/)
    expect(stderr).toMatch(/step 30: [^:]*\[MASK\][^:]* → /)
    const recipe = JSON.parse(readFileSync(join(out, 'run.json'), 'utf8'))
    expect(recipe).toMatchObject({
      optimizer: { type: 'adamw', beta2: 0.98 },
      model: { config: { hiddenSize: 32, numHeads: 2, intermediateSize: 64 } },
    })
    const again = await runHere(flagsOf(out, 30))
    expect(again).toMatchObject({ code: 2, stdout: '' })
    expect(again.stderr).toMatch(/^error: Expected a new folder.*node bin\/tunesmith\.js resume .*\n$/)
  })

  it('says in one line what is wrong, and exits with 2', async () => {
    const out = join(text.path, 'never')
    const cases: [string[], RegExp][] = [
      [['--budgt.steps', '3'], /^error: Unknown option `--budgt.steps`\. Did you mean `--budget.steps`\?.*\n$/],
      [['--model.config.hiddenSise', '3'], /^error: Expected one of .*`hiddenSise`\. Did you mean `hiddenSize`\?\n$/],
      [
        ['--optimizer.type', 'adamx'],
        /^error: Expected one of .* for `--optimizer.type`, got "adamx"\. Did you mean `adamw`\?\n$/,
      ],
      [['--max-length', '100'], /^error: Expected at most 64 tokens for `--max-length`.*\n$/],
      [['--data', join(text.path, 'nowhere')], /^error: .*manifest\.json.*\n$/],
    ]
    for (const [more, message] of cases) {
      const { code, stdout, stderr } = await runHere([...flagsOf(out, 3), ...more])
      expect(stderr).toMatch(message)
      expect([code === 0, stdout]).toEqual([false, ''])
    }
  })

  it('stops in order at Ctrl-C, and goes on to the weights of an undisturbed run', async () => {
    const [whole, stopped] = [join(text.path, 'whole'), join(text.path, 'stopped')]
    expect((await runHere(flagsOf(whole, 60))).code).toBe(0)
    let sent = false
    const first = await runChild(flagsOf(stopped, 60), (stderr, kill) => {
      if (!sent && /step \d+\/60/.test(stderr)) {
        sent = true
        kill('SIGINT')
      }
    })
    expect(first.code).toBe(130)
    expect(first.stdout).toMatch(
      /^Stopped: \d+ steps, .*\nResume with: node (bin\/tunesmith\.js|--import tsx src\/cli\/main\.ts) resume .*stopped\n$/,
    )
    const steps = Number(/Stopped: (\d+) steps/.exec(first.stdout)?.[1])
    expect(steps).toBeGreaterThan(0)
    expect(steps).toBeLessThan(60)
    const second = await runHere(['resume', stopped, '--json'])
    expect(second.code).toBe(0)
    expect(JSON.parse(second.stdout)).toMatchObject({ reason: 'finished', steps: 60 })
    expect(modelHash(stopped)).toEqual(modelHash(whole))
  })

  it('saves and stops at SIGHUP, as when a terminal or an SSH session is closed', async () => {
    const out = join(text.path, 'hung-up')
    let sent = false
    const { code } = await runChild(flagsOf(out, 60), (stderr, kill) => {
      if (sent || !/step \d+\/60/.test(stderr)) return
      sent = true
      kill('SIGHUP')
    })
    expect(code).toBe(129)
    expect(readdirSync(join(out, 'checkpoints'))).toEqual([expect.stringMatching(/[1-9]/)])
    const resumed = await runHere(['resume', out, '--json'])
    expect(JSON.parse(resumed.stdout)).toMatchObject({ reason: 'finished', steps: 60 })
  })

  it('continues to the end when its output is piped into `head`', async () => {
    const out = join(text.path, 'piped')
    const run = [...program, ...flagsOf(out, 30)]
    const script = '("$0" "$@" 2>&1; echo "rc $?" >&3) 3>&2 | head -n 2 >/dev/null'
    const { stderr } = spawnSync('sh', ['-c', script, process.execPath, ...run], { cwd: repository, encoding: 'utf8' })
    expect(stderr).toBe('rc 0\n')
    expect(existsSync(join(out, 'model', 'model.safetensors'))).toBe(true)
  })

  it('runs a recipe in YAML with flags on top', async () => {
    const out = join(text.path, 'yaml')
    const file = join(text.path, 'run.yaml')
    writeFileSync(
      file,
      [
        'model: { type: bert, preset: test }',
        'objective: { type: masked-lm, maskShare: 0.3 }',
        `data: ${text.shards}`,
        `tokenizer: ${text.tokenizer}`,
        'out: elsewhere',
        'batch: { sequences: 4 }',
        'budget: { steps: 9 }',
      ].join('\n'),
    )
    const { code, stdout } = await runHere([
      'pretrain',
      '--recipe',
      file,
      '--out',
      out,
      '--budget.steps',
      '2',
      '--json',
    ])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ steps: 2, out })
  })
})

describe('after a run', () => {
  const run = () => join(text.path, 'whole')

  it('verify-resume proves that halves give the same bytes', async () => {
    const { code, stdout } = await runHere(['verify-resume', run(), '--steps', '2', '--json'])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ steps: 4, equal: true, different: [] })
  })

  it('runs lists the folder', async () => {
    const list = JSON.parse((await runHere(['runs', text.path, '--json'])).stdout) as { name: string; status: string }[]
    expect(list.find(({ name }) => name === 'whole')).toMatchObject({ status: 'finished', step: 60, totalSteps: 60 })
    expect((await runHere(['runs', text.path])).stdout).toMatch(/whole .*finished .*60\/60/)
    expect((await runHere(['runs', join(text.path, 'nowhere')])).code).toBe(2)
  })

  it('evaluate measures the model on shards, text files and minimal pairs', async () => {
    const file = join(text.path, 'some.txt')
    writeFileSync(file, makeDocuments(5).join('\n'))
    const pairs = join(text.path, 'order.jsonl')
    writeFileSync(
      pairs,
      Array.from({ length: 6 }, () =>
        JSON.stringify({ sentence_good: 'the cat sees the river .', sentence_bad: 'cat the river sees the .' }),
      ).join('\n'),
    )
    const base = ['evaluate', '--model', run(), '--task', 'language-modelling', '--json', '--resamples', '50']
    const shards = JSON.parse((await runHere([...base, '--data', text.shards])).stdout)
    const { maskedAccuracy, maskedPerplexity } = shards.text.metrics
    // An untrained model would be near 1/120.
    expect(maskedAccuracy.value).toBeGreaterThan(0.05)
    expect(maskedAccuracy.low).toBeLessThanOrEqual(maskedAccuracy.value)
    expect(maskedPerplexity.value).toBeLessThan(100)
    const files = await runHere([...base, '--data', file, '--blimp', pairs])
    expect(JSON.parse(files.stdout)).toMatchObject({
      task: 'language-modelling',
      text: { documents: 1 },
      minimalPairs: { pairs: 6 },
    })
    const none = await runHere(base)
    expect([none.code, none.stderr]).toEqual([
      2,
      expect.stringMatching(/^error: `language-modelling` needs text to evaluate on: .*\n$/),
    ])
    const shown = await runHere([...base.filter((word) => word !== '--json'), '--data', text.shards])
    expect(shown.stdout).toMatch(/maskedAccuracy +[\d.]+ +\[[\d.]+, [\d.]+\]/)
  })

  it('predict fills masks with the likeliest words', async () => {
    const argv = ['predict', '--model', run(), '--text', 'the cat sees the [MASK] .', '--top-k', '3']
    const { predictions, head } = JSON.parse((await runHere([...argv, '--json'])).stdout)
    expect(head).toBe('masked-lm')
    expect(predictions[0].masks).toHaveLength(1)
    const [first, second, third] = predictions[0].masks[0].map(
      ({ probability }: { probability: number }) => probability,
    )
    expect(first).toBeGreaterThanOrEqual(second)
    expect(second).toBeGreaterThanOrEqual(third)
    expect((await runHere(argv)).stdout).toMatch(/^the cat sees the .*\.\n {2}\S+ [\d.]+ % · /)
    const none = await runHere(['predict', '--model', run(), '--text', 'no mask'])
    expect([none.code, none.stderr]).toEqual([2, expect.stringMatching(/^error: Expected at least one \[MASK\].*\n$/)])
  })

  it('embed writes vectors in each format', async () => {
    const input = join(text.path, 'texts.txt')
    writeFileSync(input, 'the cat\n\na dog sees the moon\nthe king\n')
    const out = (suffix: string) => join(text.path, `vectors${suffix}`)
    const results = []
    for (const suffix of ['.jsonl', '.npy', '.safetensors', '.parquet'])
      results.push(
        await runHere([
          'embed',
          '--model',
          run(),
          '--input',
          input,
          '--out',
          out(suffix),
          '--pooling',
          'mean',
          '--json',
        ]),
      )
    expect(results.map(({ code }) => code)).toEqual([0, 0, 0, 0])
    expect(JSON.parse(results[0].stdout)).toMatchObject({ texts: 3, width: 32 })
    const rows = readFileSync(out('.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { text: string; embedding: number[] })
    expect(rows.map((row) => row.text)).toEqual(['the cat', 'a dog sees the moon', 'the king'])
    const expected = Float32Array.from(rows.flatMap(({ embedding }) => embedding))
    const npy = readFileSync(out('.npy'))
    expect(npy.toString('latin1', 0, 80)).toMatch(
      /^\x93NUMPY\x01\x00..\{'descr': '<f4', 'fortran_order': False, 'shape': \(3, 32\), \}/s,
    )
    const valuesAt = (bytes: Buffer) =>
      new Float32Array(Uint8Array.from(bytes.subarray(bytes.length - 4 * expected.length)).buffer)
    expect(valuesAt(npy)).toEqual(expected)
    expect(valuesAt(readFileSync(out('.safetensors')))).toEqual(expected)
    const { asyncBufferFromFile, parquetReadObjects } = await import('hyparquet')
    const read = await parquetReadObjects({ file: await asyncBufferFromFile(out('.parquet')) })
    expect(read.map((row) => Array.from(row.embedding as number[]))).toEqual(rows.map(({ embedding }) => embedding))
    const wrong = await runHere(['embed', '--model', run(), '--input', input, '--out', out('.csv')])
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringMatching(/^error: Expected a file that ends in .*\n$/)])
  })
})

describe('generate', () => {
  it('goes on from prompts, streaming one and batching several', async () => {
    const words = await makeTextFolder('bpe', 300)
    try {
      const out = join(words.path, 'gpt')
      const train = ['pretrain', '--model.type', 'gpt2', '--model.preset', 'test', '--objective.type', 'causal-lm']
      const more = [
        '--data',
        words.shards,
        '--tokenizer',
        words.tokenizer,
        '--out',
        out,
        '--max-length',
        '32',
        '--budget.steps',
        '3',
      ]
      expect((await runHere([...train, ...more, '--batch.sequences', '4'])).code).toBe(0)
      const base = ['generate', '--model', out, '--max-new-tokens', '5']
      const one = await runHere([...base, '--prompt', 'the cat', '--json'])
      const [text] = JSON.parse(one.stdout).texts
      expect(text).toMatchObject({ prompt: 'the cat', newTokens: 5, finishReason: 'length' })
      const shown = await runHere([...base, '--prompt', 'the cat'])
      expect(shown.stdout).toBe(`${text.text}\n`)
      const two = await runHere([...base, '--prompt', 'the cat', '--prompt', 'a dog', '--json'])
      expect(JSON.parse(two.stdout).texts.map(({ prompt }: { prompt: string }) => prompt)).toEqual(['the cat', 'a dog'])
      expect(JSON.parse(two.stdout).texts[0].text).toBe(text.text)
      const idle = await runHere([...base, '--prompt', 'x', '--temperature', '0.5'])
      expect([idle.code, idle.stderr]).toEqual([2, expect.stringMatching(/^error: .*`--temperature`.*\n$/)])
      const chat = await runHere([...base, '--prompt', 'x', '--chat'])
      expect([chat.code, chat.stderr]).toEqual([
        2,
        expect.stringMatching(/^error: `--chat` needs a chat template.*\n$/),
      ])
    } finally {
      words.remove()
    }
  })
})
