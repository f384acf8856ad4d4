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

/** Refuses pickles, by file name and first bytes. @throws CheckpointError with the command that converts the file */
export const refusePickle = async (path: string): Promise<void> => {
  let found = suffixes.test(path)
  if (!found) {
    const file = await open(path).catch(() => undefined)
    if (file === undefined) return
    try {
      if (!(await file.stat()).isFile()) return
      const { buffer, bytesRead } = await file.read(new Uint8Array(4), 0, 4, 0)
      found = bytesRead === 4 && isPickle(buffer)
    } finally {
      await file.close()
    }
  }
  if (!found) return
  throw new CheckpointError(
    `Expected a safetensors or GGUF file for \`${path}\`, got ${basename(path)} in Python's pickle format, which can run code. ` +
      `If you trust it, convert its folder once: python -c "from transformers import AutoModel; AutoModel.from_pretrained('FOLDER').save_pretrained('OUT', safe_serialization=True)"`,
  )
}
