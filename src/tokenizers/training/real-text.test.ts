import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { sha256 } from '../../core/index.ts'
import type { TokenizerTrainInput } from './train-options.ts'
import { trainTokenizer } from './train-tokenizer.ts'

const data = join(import.meta.dirname, '../../../../shared/data')

const learn = async (documents: string[], input: TokenizerTrainInput) => {
  const { files } = await trainTokenizer(documents, { validation: 0, minFrequency: 1, ...input })
  return files
}

const hashOfMerges = (files: Record<string, string>) => sha256(files['merges.txt'].split('\n').slice(1).join('\n'))

// The hashes are those of the Python package tokenizers 0.23.3: its merges as lines `left right`, its WordPiece
// vocabulary sorted and joined by line ends.
describe.skipIf(!existsSync(data))('on real text, equal to the Rust tokenizers (needs ../shared/data)', () => {
  test('BPE with 8,000 tokens on Shakespeare learns the same 7,742 merges in the same order', async () => {
    const text = readFileSync(join(data, 'tinyshakespeare/input.txt'), 'utf8')
    const files = await learn([text], { vocabSize: 8000 })
    expect(files['merges.txt'].split('\n')).toHaveLength(7742 + 2)
    expect(hashOfMerges(files)).toBe('029aa9719defb47e43788aac10311c34dc025a461b29aabaf3f9fdf0bbfb8db8')
  })

  /** The lines of the reference script: books sorted by name, without headers and blank lines. */
  function bookLines(): string[] {
    const books = readdirSync(join(data, 'books'))
      .filter((file) => file.endsWith('.md.gz'))
      .sort()
      .map((file) =>
        gunzipSync(readFileSync(join(data, 'books', file)))
          .toString('utf8')
          .replace(/\r\n?/g, '\n'),
      )
      .map((book) => book.slice(book.indexOf('-------') + 7))
    return books
      .join('\n')
      .split('\n')
      .flatMap((line) => (line.trim() === '' ? [] : [`${line}\n`]))
  }

  test('BPE with 32,000 tokens on 45.6 MB of books learns the same 31,744 merges in the same order', async () => {
    // 256 bytes, 31,744 merges and two special tokens.
    const files = await learn(bookLines(), { vocabSize: 32_002 })
    expect(hashOfMerges(files)).toBe('f5d659e35e53f78afefb70bc2db5599b38879e5cb3a7892bfd21da44a53cdfe9')
  })

  test('WordPiece with 30,000 tokens on the same books learns the same vocabulary', async () => {
    const files = await learn(bookLines(), { type: 'wordpiece', vocabSize: 30_000 })
    const tokens = files['vocab.txt'].split('\n').slice(0, -1)
    // Python sorts by code point, JavaScript by UTF-16 unit; the books have no character beyond the basic plane.
    expect(sha256(tokens.sort().join('\n'))).toBe('b3c015eb4764ee6c80d945a171be57e4afc576958cd076d9a56d83c4d1e9098e')
  })
})
