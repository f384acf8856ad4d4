// Tokenizers trained on the shared texts have the vocabularies that the Rust package learns from them.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { bookLines } from '../../bench/book-lines.ts'
import { dataFolder } from '../../bench/side-by-side.ts'
import { sha256 } from '../../src/core/index.ts'
import { type TokenizerTrainInput, trainTokenizer } from '../../src/tokenizers/index.ts'

const data = dataFolder()

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

  /** The lines of the reference script, with their line ends. */
  const linesOfBooks = async () => {
    const lines: string[] = []
    for await (const line of bookLines(data)) lines.push(`${line}\n`)
    return lines
  }

  test('BPE with 32,000 tokens on 45.6 MB of books learns the same 31,744 merges in the same order', async () => {
    // 256 bytes, 31,744 merges and two special tokens.
    const files = await learn(await linesOfBooks(), { vocabSize: 32_002 })
    expect(hashOfMerges(files)).toBe('f5d659e35e53f78afefb70bc2db5599b38879e5cb3a7892bfd21da44a53cdfe9')
  })

  test('WordPiece with 30,000 tokens on the same books learns the same vocabulary', async () => {
    const files = await learn(await linesOfBooks(), { type: 'wordpiece', vocabSize: 30_000 })
    const tokens = files['vocab.txt'].split('\n').slice(0, -1)
    // Python sorts by code point, JavaScript by UTF-16 unit; the books have no character beyond the basic plane.
    expect(sha256(tokens.sort().join('\n'))).toBe('b3c015eb4764ee6c80d945a171be57e4afc576958cd076d9a56d83c4d1e9098e')
  })
})
