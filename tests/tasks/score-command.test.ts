// `tunesmith score` from files to numbers, and what it says of a wrong task or setting.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { commands } from '../../src/cli/commands/index.ts'
import { runProgram } from '../../src/cli/program.ts'

const folder = mkdtempSync(join(tmpdir(), 'score-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const run = async (...argv: string[]) => {
  const texts = { out: '', err: '' }
  const terminal = {
    stdout: (text: string) => {
      texts.out += text
    },
    stderr: (text: string) => {
      texts.err += text
    },
  }
  const code = await runProgram(argv, { commands, terminal, version: '0', signal: new AbortController().signal })
  return { code, ...texts }
}
const file = (name: string, content: string): string => {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

it('`score` evaluates predictions, compares them with others, and refuses files that do not fit', async () => {
  const references = file('r.csv', 'review,stars\na,1\nb,2\nc,1\nd,2\n')
  const good = file('good.txt', '1\n2\n1\n2\n')
  const half = file('half.txt', '1\n2\n2\n1\n')
  const settings = ['--references', references, '--settings.text', 'review', '--settings.label', 'stars']
  const judged = await run(
    'score',
    'sequence-classification',
    ...settings,
    '--predictions',
    good,
    '--against',
    half,
    '--json',
  )
  expect(judged).toMatchObject({ code: 0, err: '' })
  expect(JSON.parse(judged.out)).toMatchObject({
    records: 4,
    mainMetric: 'accuracy',
    metrics: { accuracy: { value: 1, low: 1, high: 1 } },
    differences: { accuracy: { value: 0.5 } },
    details: {
      labels: ['1', '2'],
      confusion: [
        [2, 0],
        [0, 2],
      ],
    },
  })
  expect((await run('score', 'sequence-classification', ...settings, '--predictions', half)).out).toMatch(
    /\* accuracy +0\.5000 \[/,
  )
  const wrongTask = await run('score', 'regresion', ...settings, '--predictions', good)
  expect(wrongTask).toMatchObject({ code: 2 })
  expect(wrongTask.err).toMatch(/got "regresion". Did you mean `regression`\?/)
  const wrongSetting = await run('score', 'regression', ...settings, '--predictions', good, '--settings.scheme', 'iob2')
  expect(wrongSetting).toMatchObject({ code: 2 })
  expect(wrongSetting.err).toMatch(/unknown key `scheme`/)
})

it.each([
  [
    'sequence-classification',
    'text,label\na,x\nb,y\n',
    '{"id":"0","label":"x","probabilities":{"0":0.9,"1":0.1}}\n{"id":"1","label":"y","probabilities":{"0":0.2,"1":0.8}}\n',
  ],
  ['sequence-classification', 'text,label\na,x\nb,y\n', '{"label":"x","probabilities":{"x":0.9}}\n{"label":"y"}\n'],
])('`score` evaluates %s by the predicted label where probabilities lack it', async (task, right, said) => {
  const argv = ['--references', file('right.csv', right), '--predictions', file('said.jsonl', said), '--json']
  const judged = await run('score', task, ...argv)
  expect(judged).toMatchObject({ code: 0, err: '' })
  const { metrics } = JSON.parse(judged.out)
  expect(metrics.accuracy.value).toBe(1)
  expect(metrics).not.toHaveProperty('calibrationError')
})
