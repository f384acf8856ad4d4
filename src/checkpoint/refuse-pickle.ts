// Recognises checkpoints in Python's pickle format, which can run code when it is read and is therefore refused. Reads
// a few bytes.
import { open } from 'node:fs/promises'
import { basename } from 'node:path'
import { CheckpointError } from '../core/index.ts'

const suffixes = /\.(bin|pt|pth|ckpt|pkl|pickle)$/i

const isPickle = (start: Uint8Array): boolean =>
  // torch.save writes a zip archive; before version 1.6 it wrote a pickle, which begins with its protocol.
  (start[0] === 0x50 && start[1] === 0x4b && start[2] === 3 && start[3] === 4) ||
  (start[0] === 0x80 && start[1] >= 2 && start[1] <= 5)

/** The first bytes of a file; undefined for what is no file. */
const startOf = async (path: string): Promise<Uint8Array | undefined> => {
  const file = await open(path).catch(() => undefined)
  if (file === undefined) return undefined
  try {
    if (!(await file.stat()).isFile()) return undefined
    const { buffer, bytesRead } = await file.read(new Uint8Array(4), 0, 4, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** Refuses pickles by their first bytes, and other formats that have their suffix. @throws CheckpointError with the way out */
export const refusePickle = async (path: string): Promise<void> => {
  const start = await startOf(path)
  if (start === undefined && !suffixes.test(path)) return
  if (start === undefined || (start.length === 4 && isPickle(start)))
    throw new CheckpointError(
      `Expected a safetensors or GGUF file for \`${path}\`, got ${basename(path)} in Python's pickle format, which can run code. ` +
        `If you trust it, convert its folder once: python -c "from transformers import AutoModel; AutoModel.from_pretrained('FOLDER').save_pretrained('OUT', safe_serialization=True)"`,
    )
  if (!suffixes.test(path)) return
  throw new CheckpointError(
    `Expected a safetensors or GGUF file for \`${path}\`, got ${basename(path)} in a format that Tunesmith does not read. Convert it to safetensors or GGUF with the program that wrote it.`,
  )
}
