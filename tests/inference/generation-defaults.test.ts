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

it('names the fields without an effect, where they would have one in transformers', () => {
  expect(unservedFields({ bad_words_ids: [[15]], typical_p: 0.9, max_length: 9, temperature: 0.7 })).toEqual([
    'bad_words_ids',
    'typical_p',
  ])
  expect(unservedFields({ bad_words_ids: null, typical_p: 1, encoder_no_repeat_ngram_size: 0 })).toEqual([])
})
