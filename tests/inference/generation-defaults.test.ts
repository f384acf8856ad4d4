// Generation settings of a model's own files: those that are followed, and those of which a warning says that they are not.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { generationDefaults, unservedFields } from '../../src/inference/generation-defaults.ts'
import type { InferenceModel } from '../../src/inference/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'tunesmith-defaults-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const defaultsOf = (fields: object, causal: boolean) => {
  writeFileSync(join(folder, 'config.json'), '{"decoder_start_token_id": 2}')
  writeFileSync(join(folder, 'generation_config.json'), JSON.stringify(fields))
  return generationDefaults({ folder, model: { facts: { causal } } as InferenceModel['model'] })
}

// transformers counts the start token of the decoder in `max_length` and `min_length`.
it('takes the lengths of an encoder-decoder, without its start token', async () => {
  const summariser = { max_length: 142, min_length: 56, num_beams: 4 }
  expect(await defaultsOf(summariser, false)).toEqual({
    maxNewTokens: 141,
    minNewTokens: 55,
    numBeams: 4,
    decoderStartTokenId: 2,
  })
  expect(await defaultsOf({ ...summariser, max_new_tokens: 60 }, false)).toMatchObject({ maxNewTokens: 60 })
  // That of a decoder counts the prompt too, and is mostly its context.
  expect(await defaultsOf({ max_length: 4096 }, true)).toEqual({})
})

// As older models of summarisation have them; those that say nothing are what transformers used to write.
it('takes the settings of config.json where there is no file for them', async () => {
  const other = mkdtempSync(join(folder, 'old-'))
  const neutral = { do_sample: false, top_k: 50, temperature: 1, repetition_penalty: 1, early_stopping: false }
  const written = { num_beams: 3, no_repeat_ngram_size: 2, max_length: 18, min_length: 8, length_penalty: 2 }
  writeFileSync(join(other, 'config.json'), JSON.stringify({ decoder_start_token_id: 2, ...neutral, ...written }))
  const model = { facts: { causal: false } } as InferenceModel['model']
  expect(await generationDefaults({ folder: other, model })).toMatchObject({
    decoderStartTokenId: 2,
    numBeams: 3,
    noRepeatNgramSize: 2,
    maxNewTokens: 17,
    minNewTokens: 7,
    lengthPenalty: 2,
  })
  const nothing = { no_repeat_ngram_size: 0, num_beams: 1, length_penalty: 1, min_length: 0, num_return_sequences: 1 }
  writeFileSync(join(other, 'config.json'), JSON.stringify({ ...neutral, ...nothing }))
  const { sample, numBeams = 1 } = await generationDefaults({ folder: other, model })
  expect([sample ?? false, numBeams]).toEqual([false, 1])
})

it('names the fields without an effect, where they would have one in transformers', () => {
  expect(unservedFields({ bad_words_ids: [[15]], typical_p: 0.9, max_length: 9, temperature: 0.7 })).toEqual([
    'bad_words_ids',
    'typical_p',
  ])
  expect(unservedFields({ bad_words_ids: null, typical_p: 1, encoder_no_repeat_ngram_size: 0 })).toEqual([])
})
