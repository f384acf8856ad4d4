// Saving folders: what is kept of the original files, shards, and atomic replacement.
import { spawn, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { peersPython } from '../../bench/side-by-side.ts'
import { loadModel, loadModelWithReport, openSafetensors, saveModel } from '../../src/checkpoint/index.ts'
import { loadTokenizer } from '../../src/tokenizers/index.ts'
import { batch, readConfig, sameState, smallFolder, smallModel } from './folders-fixture.ts'

const scratch = mkdtempSync(join(tmpdir(), 'saving-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))
let folder = ''
let count = 0
beforeEach(() => {
  folder = join(scratch, `set-${++count}`, 'model')
})

const text = (...parts: string[]) => readFileSync(join(...parts), 'utf8')
const tokenizers = fileURLToPath(new URL('../language-modelling/golden/', import.meta.url))

describe('the original files of a model', () => {
  it('are kept: unknown fields, floats as floats, generation settings, tokenizer files and others', async () => {
    await smallFolder(folder, 't5', 'seq2seq-lm')
    const fields = {
      ...readConfig(folder),
      a_field: { of: [1, null, 'theirs'] },
      task_specific_params: { x: { prefix: 'y: ' } },
    }
    const written = JSON.stringify(fields).replace(
      /}$/,
      ', "scale": 2.0, "nested": {"rate": 1.0, "count": 1}, "small": 1e-05}',
    )
    writeFileSync(join(folder, 'config.json'), written)
    const beside: Record<string, string> = {
      'generation_config.json': '{"max_length": 77}',
      'tokenizer.json': '{}',
      'tokenizer_config.json': '{"model_max_length": 512}',
      'spiece.model': 'binary',
      'chat_template.jinja': '{{ x }}',
      'README.md': 'not of the model',
    }
    for (const [name, content] of Object.entries(beside)) writeFileSync(join(folder, name), content)
    mkdirSync(join(folder, '1_Pooling'))
    writeFileSync(join(folder, '1_Pooling', 'config.json'), '{"pooling_mode_mean_tokens": true}')
    const out = join(folder, '..', 'again')
    await saveModel(await loadModel(folder), out)
    expect(readConfig(out)).toEqual(JSON.parse(written))
    for (const number of [
      '"scale": 2.0',
      '"rate": 1.0',
      '"count": 1\n',
      '"initializer_factor": 1.0',
      '"num_layers": 2,',
    ])
      expect(text(out, 'config.json')).toContain(number)
    for (const [name, content] of Object.entries(beside))
      if (name === 'README.md') expect(existsSync(join(out, name))).toBe(false)
      else expect(text(out, name)).toBe(content)
    expect(text(out, '1_Pooling', 'config.json')).toContain('mean')
  })

  it('are replaced by another tokenizer, whose special ids go into config.json where it has none', async () => {
    await smallFolder(folder, 'gpt2', 'causal-lm')
    writeFileSync(join(folder, 'vocab.json'), 'old')
    writeFileSync(join(folder, 'generation_config.json'), '{}')
    const out = join(folder, '..', 'again')
    const tokenizer = join(tokenizers, 'gpt2')
    const { special } = await loadTokenizer(tokenizer)
    for (const given of [tokenizer, join(tokenizer, 'tokenizer.json')]) {
      await saveModel(await loadModel(folder), out, { tokenizer: given })
      expect(readdirSync(out).sort()).toEqual(
        [
          'config.json',
          'generation_config.json',
          'model.safetensors',
          'tokenizer.json',
          'tokenizer_config.json',
        ].sort(),
      )
      expect(special.eos).toBeDefined()
      expect(readConfig(out).eos_token_id).toBe(special.eos!.id)
    }
    // Its own longest input is 1e30, which stands for none: transformers would truncate nothing.
    const read = () => JSON.parse(text(out, 'tokenizer_config.json')) as { model_max_length: number }
    const { maxPositions } = (await loadModel(folder)).facts
    expect(read().model_max_length).toBe(maxPositions)
    const own = join(folder, '..', 'own')
    cpSync(tokenizer, own, { recursive: true })
    writeFileSync(join(own, 'tokenizer_config.json'), '{"model_max_length": 7}')
    await saveModel(await loadModel(folder), out, { tokenizer: own })
    expect(read().model_max_length).toBe(7)
    await saveModel(await loadModel(folder), out, { tokenizer, fields: { eos_token_id: 3, note: 'mine' } })
    expect(readConfig(out)).toMatchObject({ eos_token_id: 3, note: 'mine' })
  })

  it('get the class, labels and problem type of the model', async () => {
    const headOptions = { labels: ['no', 'yes', 'perhaps'], problemType: 'multi-label' as const, dropout: 0.25 }
    await smallFolder(folder, 'distilbert', 'sequence-classification', { headOptions })
    expect(readConfig(folder)).toMatchObject({
      model_type: 'distilbert',
      architectures: ['DistilBertForSequenceClassification'],
      id2label: { 0: 'no', 1: 'yes', 2: 'perhaps' },
      label2id: { no: 0, yes: 1, perhaps: 2 },
      problem_type: 'multi_label_classification',
      classifier_dropout: 0.25,
      dtype: 'float32',
    })
    const { model } = await loadModelWithReport(folder)
    expect(model.headOptions).toMatchObject(headOptions)
    // Under another head the old labels are gone.
    const out = join(folder, '..', 'masked')
    await saveModel(await loadModel(folder, { head: 'masked-lm' }), out)
    expect(Object.keys(readConfig(out)).filter((key) => /label/.test(key))).toEqual([])
    expect(readConfig(out).architectures).toEqual(['DistilBertForMaskedLM'])
  })
})

describe('dtypes', () => {
  it.each(['bfloat16', 'float16', 'float64'] as const)(
    '%s is written when asked for, said in config.json, and read back',
    async (dtype) => {
      const model = smallModel('llama', 'causal-lm')
      await saveModel(model, folder, { dtype })
      const file = await openSafetensors(join(folder, 'model.safetensors'))
      expect(new Set([...file.tensors.values()].map((entry) => entry.dtype))).toEqual(new Set([dtype]))
      expect(readConfig(folder).dtype).toBe(dtype)
      const rounded = new Map([...model.parameters()].map(([path, value]) => [path, value.to(dtype)]))
      expect(sameState((await loadModel(folder)).parameters(), rounded)).toBe(true)
      if (dtype !== 'bfloat16') {
        const kept = await loadModel(folder)
        expect(() => kept.forward({ inputIds: batch().inputIds })).toThrow(
          `which the CPU computes with, got ${dtype}. Load them with \`dtype\` float32.`,
        )
        const wide = await loadModel(folder, { dtype: 'float32' })
        expect(wide.forward({ inputIds: batch().inputIds }).logits.dtype).toBe('float32')
      }
      // Kept without asking.
      const out = join(folder, '..', 'again')
      await saveModel(await loadModel(folder), out)
      expect(readFileSync(join(out, 'model.safetensors')).equals(readFileSync(join(folder, 'model.safetensors')))).toBe(
        true,
      )
    },
  )

  it('is written under the field name that the file had', async () => {
    await smallFolder(folder, 'bert', 'masked-lm')
    const { dtype: _, ...fields } = readConfig(folder)
    writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...fields, torch_dtype: 'float32' }))
    await saveModel(await loadModel(folder), folder, { dtype: 'bfloat16' })
    expect(readConfig(folder).torch_dtype).toBe('bfloat16')
    expect(readConfig(folder).dtype).toBeUndefined()
  })
})

const python = peersPython()
const readShards = `
import json, sys
from transformers import AutoModelForCausalLM
from safetensors.torch import load_file
model, info = AutoModelForCausalLM.from_pretrained(sys.argv[1], output_loading_info=True)
whole = load_file(sys.argv[2] + "/model.safetensors")
state = model.state_dict()
print(json.dumps([sorted(map(str, info["missing_keys"])), sorted(map(str, info["unexpected_keys"])), all(state[k].equal(v) for k, v in whole.items()), len(whole)]))
`

describe('shards', () => {
  const shard = async () => {
    const model = await smallFolder(join(folder, '..', 'whole'), 'llama', 'causal-lm', {
      config: { tiedEmbeddings: false },
    })
    await saveModel(model, folder, { maxShardBytes: 20_000 })
    return model
  }
  const indexOf = () =>
    JSON.parse(text(folder, 'model.safetensors.index.json')) as {
      metadata: { total_size: number }
      weight_map: Record<string, string>
    }

  it('are written with an index and read back bit by bit', async () => {
    const model = await shard()
    const { metadata, weight_map: map } = indexOf()
    const files = [...new Set(Object.values(map))]
    expect(files.length).toBeGreaterThan(3)
    expect(files[0]).toBe(`model-00001-of-${String(files.length).padStart(5, '0')}.safetensors`)
    expect(metadata.total_size).toBe(model.parameterCount * 4)
    expect(readdirSync(folder).sort()).toEqual([...files, 'config.json', 'model.safetensors.index.json'].sort())
    for (const file of files) {
      const { tensors } = await openSafetensors(join(folder, file))
      const bytes = [...tensors.values()].reduce((sum, entry) => sum + entry.bytes, 0)
      expect(bytes <= 20_000 || tensors.size === 1).toBe(true)
    }
    expect(sameState((await loadModel(folder)).parameters(), model.parameters())).toBe(true)
  })

  it('of different models are refused', async () => {
    await shard()
    const index = indexOf()
    const [name, file] = Object.entries(index.weight_map)[0]
    const refuse = async (map: Record<string, string>, message: RegExp) => {
      writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify({ ...index, weight_map: map }))
      await expect(loadModelWithReport(folder)).rejects.toThrow(message)
    }
    await refuse({ ...index.weight_map, [name]: 'model-00002-of-00002.safetensors' }, /Expected a readable file/)
    await refuse({ ...index.weight_map, extra: file }, /Expected 1 more tensors in its files: extra/)
    const { [name]: _, ...fewer } = index.weight_map
    await refuse(fewer, /found it in model-00001/)
    await refuse({ ...index.weight_map, [name]: '../whole/model.safetensors' }, /Expected file names beside it/)
    await refuse({ ...index.weight_map, [name]: 3 as unknown as string }, /weight_map/)
    rmSync(join(folder, file))
    await refuse(index.weight_map, /Expected a readable file/)
  })

  const skipped = ' (SKIPPED: no Python with transformers; make it with `node bench/peers/setup.mjs`)'
  it.skipIf(python === undefined)(`are opened by transformers${python === undefined ? skipped : ''}`, async () => {
    await shard()
    const { stdout, stderr } = spawnSync(python!, ['-c', readShards, folder, join(folder, '..', 'whole')], {
      encoding: 'utf8',
    })
    const [missing, unexpected, equal, tensors] = JSON.parse(
      stdout.trimEnd().split('\n').at(-1) || `["${stderr.slice(-500)}"]`,
    )
    expect({ missing, unexpected, equal }).toEqual({ missing: [], unexpected: [], equal: true })
    expect(tensors).toBeGreaterThan(10)
  })
})

describe('a folder that is replaced', () => {
  const save = (target: string, body: string) => {
    const [checkpoint, fixture] = ['../../src/checkpoint/index.ts', './folders-fixture.ts'].map(
      (path) => new URL(path, import.meta.url).href,
    )
    return `import { saveModel } from ${JSON.stringify(checkpoint)}
      import { smallModel } from ${JSON.stringify(fixture)}
      const folder = ${JSON.stringify(target)}
      const model = smallModel('gpt2', 'causal-lm', { config: { hiddenSize: 128, numLayers: 8 }, seed: 9 })
      ${body}`
  }
  const node = ['--import', 'tsx', '--input-type=module', '-e']
  const expectOld = async (old: Awaited<ReturnType<typeof smallFolder>>) => {
    expect(readdirSync(folder).sort()).toEqual(['config.json', 'model.safetensors'])
    expect(sameState((await loadModel(folder)).parameters(), old.parameters())).toBe(true)
  }

  it('can be the one that the model is mapped from', async () => {
    const old = await smallFolder(folder, 'bert', 'masked-lm')
    const model = await loadModel(folder)
    for (let round = 0; round < 3; round++) await saveModel(model, folder)
    const expected = old.forward(batch()).logits
    expect(model.forward(batch()).logits.equal(expected)).toBe(true)
    expect((await loadModel(folder)).forward(batch()).logits.equal(expected)).toBe(true)
    expect(readdirSync(dirname(folder))).toEqual(['model'])
  })

  it('stays unchanged when writing fails, and nothing else is left', async () => {
    const old = await smallFolder(folder, 'bert', 'masked-lm')
    const also = async () => {
      throw new Error('no more')
    }
    await expect(saveModel(smallModel('bert', 'masked-lm', { seed: 2 }), folder, { addFiles: also })).rejects.toThrow(
      'no more',
    )
    await expectOld(old)
    expect(readdirSync(dirname(folder))).toEqual(['model'])
  })

  it('stays unchanged when the process is killed', async () => {
    const old = await smallFolder(folder, 'bert', 'masked-lm')
    const script = save(
      folder,
      `await saveModel(model, folder, { addFiles: async () => {
        process.stdout.write('written')
        await new Promise((resolve) => setTimeout(resolve, 60_000))
      } })`,
    )
    const child = spawn(process.execPath, [...node, script], { stdio: ['ignore', 'pipe', 'inherit'] })
    await new Promise((written) => child.stdout.once('data', written))
    child.kill('SIGKILL')
    await new Promise((closed) => child.once('close', closed))
    await expectOld(old)
  })

  it.skipIf(process.platform === 'win32')('stays unchanged when the disk is full', async () => {
    const old = await smallFolder(folder, 'bert', 'masked-lm')
    const script = save(
      folder,
      `await saveModel(model, folder).then(() => console.log('saved'), ({ code }) => console.log(code))`,
    )
    // A limit on the size of a file, with its signal off, fails a write as a full disk does.
    const limited = `trap '' XFSZ; ulimit -f 2000; exec "$0" "$@"`
    const { stdout, stderr } = spawnSync('bash', ['-c', limited, process.execPath, ...node, script], {
      encoding: 'utf8',
    })
    expect(stdout.trim(), stderr).toBe('EFBIG')
    await expectOld(old)
    expect(readdirSync(dirname(folder))).toEqual(['model'])
  })
})
