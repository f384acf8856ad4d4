// A worker thread that counts the words of document batches and sends its table on `finish`.
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { invariant } from '../../core/index.ts'
import { createDocumentCounter, type DocumentBatch, type DocumentCounterOptions } from './count-words.ts'

/** The `workerData` of a counting thread. */
export interface WordCountWorkerData extends Omit<DocumentCounterOptions, 'runPath'> {
  runFolder: string
  runPrefix: string
}

const port = parentPort
invariant(port !== null, 'word-count-worker runs in a worker thread only.')
const { runFolder, runPrefix, ...options } = workerData as WordCountWorkerData
const counter = createDocumentCounter({ ...options, runPath: (index) => join(runFolder, `${runPrefix}-${index}.run`) })

port.on('message', (batch: DocumentBatch | 'finish') => {
  if (batch !== 'finish') {
    counter.add(batch)
    port.postMessage('counted')
    return
  }
  const { words, runs, skipped } = counter.finish()
  // Whole buffers are transferred; their views give the used length.
  port.postMessage({ words, runs, skipped }, [words.bytes.buffer, words.ends.buffer, words.counts.buffer])
  port.close()
})
port.postMessage('ready')
