// What an export does where something is wrong: a process that is killed half-way, a full disk, names that are paths, an adapter
// of another base, and NaN. Nothing half-written opens afterwards.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { applyAdapter, saveAdapter } from '../../src/adapters/index.ts'
import { loadModel, saveModel } from '../../src/checkpoint/index.ts'
import { exportModel, exportTargets } from '../../src/export/index.ts'
import { noGrad } from '../../src/tensor/index.ts'
import { trainTokenizer } from '../../src/tokenizers/index.ts'
import { isFull } from '../grid.ts'
import { oddModel } from './onnx-fixture.ts'

const scratch = mkdtempSync(join(tmpdir(), 'bad-export-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))
const at = (name: string) => join(scratch, name)
const repository = fileURLToPath(new URL('../..', import.meta.url))

beforeAll(async () => {
  const { files } = await trainTokenizer(
    Array(50).fill('The cat sat on the mat, and the dog ran after the cat.'),
    { type: 'bpe', vocabSize: 290, minFrequency: 1 },
    { workers: 1 },
  )
  mkdirSync(at('tokenizer'))
  for (const [name, content] of Object.entries(files)) writeFileSync(join(at('tokenizer'), name), content)
  await saveModel(oddModel('llama', 'causal-lm', { vocabSize: 300 }), at('model'), { tokenizer: at('tokenizer') })
})

/** A program that exports, or calls another function of the module with an input. */
const exportScript = (input: object, call: 'exportModel' | 'mergeModels' = 'exportModel'): string => {
  const source = pathToFileURL(join(repository, 'src', 'export', 'index.ts')).href
  const script = at(`run-${Object.keys(input).length}-${Math.round(performance.now())}.mts`)
  writeFileSync(
    script,
    `import { ${call} } from ${JSON.stringify(source)}
await ${call}(${JSON.stringify(input)}, { onProgress: (line) => console.log(line) })
console.log('exported')
`,
  )
  return script
}

/** Runs an export in a process of its own, which this test may kill. */
const exportElsewhere = (input: object) => {
  const child = spawn(process.execPath, ['--import', 'tsx', exportScript(input)], {
    cwd: repository,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const ended = new Promise<void>((resolve) => child.on('exit', () => resolve()))
  return { child, ended, text: () => text }
}

describe('an export', () => {
  it('refuses a feature-based run by name in every format, before it opens the base', async () => {
    mkdirSync(at('features'))
    // Only the name of the file tells what it is: whatever reads more fails in another way.
    writeFileSync(join(at('features'), 'feature_model.json'), '{}')
    for (const { type } of exportTargets) {
      const out = at(`features-${type}`)
      await expect(exportModel({ model: at('features'), to: [type], out })).rejects.toThrow(
        /^Expected a model that an export can write, got .*features, a feature-based run: .* `predict`, `serve` or, in TypeScript, `open`; to export, .* full, or .* lora\.$/,
      )
      expect(existsSync(out)).toBe(false)
    }
  })

  it('that is killed half-way leaves nothing under its name, and the next one is whole', async () => {
    const out = at('killed')
    const to = ['merged', 'gguf:q8_0', 'onnx', 'onnx:q8']
    const { child, ended, text } = exportElsewhere({ model: at('model'), to, out })
    while (!text().includes('Writing') && child.exitCode === null) await setTimeout(5)
    child.kill('SIGKILL')
    await ended
    expect(text()).not.toContain('exported')
    expect(existsSync(out)).toBe(false)
    // The folder of the killed process is hidden, and no name of a model; the next export removes it.
    const hidden = () => readdirSync(scratch).filter((name) => name.includes('killed') && name !== 'killed')
    expect(hidden()).toHaveLength(1)
    expect(hidden()[0]).toMatch(/^\.killed\.\w+\.tmp$/)
    const { files } = await exportModel({ model: at('model'), to, out, prove: false })
    expect(hidden()).toEqual([])
    for (const { name } of files) expect(existsSync(join(out, name))).toBe(true)
    await expect(loadModel(join(out, 'merged'))).resolves.toBeDefined()
  })

  it.each(isFull ? ['merged', 'gguf:f16', 'onnx', 'merge'] : ['gguf:f16', 'merge'])(
    'to %s on a full disk says so, and leaves nothing',
    async (to) => {
      const out = at(`full-${to.replace(':', '-')}`)
      const model = at('model')
      // A limit on the size of files stands for a disk without room: writing fails with an error in both cases.
      const limited = spawn(
        'bash',
        [
          '-c',
          `ulimit -f 8; trap '' XFSZ; exec "$0" --import tsx "$1"`,
          process.execPath,
          to === 'merge'
            ? exportScript({ models: [model, model], method: 'linear', out }, 'mergeModels')
            : exportScript({ model, to, out, prove: false }),
        ],
        { cwd: repository, stdio: ['ignore', 'pipe', 'pipe'] },
      )
      let text = ''
      limited.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()))
      await new Promise((resolve) => limited.on('exit', resolve))
      expect(text).toMatch(/File size limit reached while writing `.*full-.*`\. Nothing was left there/)
      expect(existsSync(out)).toBe(false)
    },
  )

  it('refuses an adapter of another base', async () => {
    const other = oddModel('llama', 'causal-lm', { vocabSize: 300, hiddenSize: 48, numHeads: 4, numKvHeads: 2 })
    await saveModel(other, at('other'), { tokenizer: at('tokenizer') })
    const applied = applyAdapter(await loadModel(at('other')), { type: 'lora', rank: 2 }, { seed: 1 })
    await saveAdapter(applied, at('adapter'), { base: at('other') })
    const out = at('other-out')
    await expect(exportModel({ model: at('model'), adapters: [at('adapter')], to: 'merged', out })).rejects.toThrow(
      /adapter|shape|size|\[\d+/,
    )
    expect(existsSync(out)).toBe(false)
  })

  it('names the tensor with NaN for every format', async () => {
    const model = oddModel('llama', 'causal-lm', { vocabSize: 300 })
    noGrad(() => model.parameters().get('body.layers.1.mlp.upProj.weight')?.narrow(0, 3, 1).fill_(Number.NaN))
    await saveModel(model, at('nan'), { tokenizer: at('tokenizer') })
    for (const to of ['merged', 'gguf:q4_k_m', 'onnx:q8', 'ollama:q8_0'])
      await expect(exportModel({ model: at('nan'), to, out: at('nan-out') })).rejects.toThrow(
        /body\.layers\.1\.mlp\.upProj\.weight/,
      )
    expect(existsSync(at('nan-out'))).toBe(false)
  })

  it('keeps names that look like paths inside the folder', async () => {
    for (const name of ['..evil', 'a b;c$(d)', '-rf']) {
      await saveModel(oddModel('llama', 'causal-lm', { vocabSize: 300 }), at(name), { tokenizer: at('tokenizer') })
      const out = at(`${name.replace(/\W/g, '')}-out`)
      const { files } = await exportModel({ model: at(name), to: 'gguf:f16', out, prove: false })
      const [gguf] = files.filter((file) => file.name.endsWith('.gguf'))
      expect(gguf.name).toMatch(/^gguf\/[\w][\w.-]*-F16\.gguf$/)
      expect(readdirSync(join(out, 'gguf')).sort()).toEqual([gguf.name.slice('gguf/'.length), 'README.md'].sort())
    }
  })

  it('shows the words that a tokenizer of llama.cpp would split in another way', async () => {
    const { compareTokenizers } = await import('../../src/export/proof/compare-tokenizers.ts')
    const { openSource } = await import('../../src/export/open-source.ts')
    const source = await openSource({ model: at('model') })
    const encode = (text: string) => ({
      ids: source.tokenizer.encode(text.replaceAll('cat', 'dog'), { addSpecialTokens: false }).ids,
    })
    const texts = ['The cat sat.', 'The mat.']
    const row = compareTokenizers(source, { encode }, texts, { target: 'gguf', consumer: 'other' })
    expect(row.ok).toBe(false)
    expect(row.detail).toContain('cat')
    expect(row.detail).not.toContain('mat')
  })
})

describe('the proof', () => {
  it('is in a file that says which program compared what', async () => {
    const out = at('proved')
    await exportModel({ model: at('model'), to: 'onnx', out })
    const { proof } = JSON.parse(readFileSync(join(out, 'proof.json'), 'utf8')) as { proof: { consumer: string }[] }
    expect(new Set(proof.map(({ consumer }) => consumer.split(' ')[0]))).toEqual(
      new Set(['onnxruntime-node', 'transformers.js']),
    )
  })
})
