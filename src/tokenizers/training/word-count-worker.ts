// A worker thread that counts the words of batches of documents and sends its table when it is asked to finish.
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { invariant } from '../../core/index.ts'
import { createDocumentCounter, type DocumentBatch, type DocumentCounterOptions } from './document-counter.ts'

/** What the thread is told at its start. */
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
  // Whole buffers move to the main thread; the views on them say how much of each is in use.
  port.postMessage({ words, runs, skipped }, [words.bytes.buffer, words.ends.buffer, words.counts.buffer])
  port.close()
})
port.postMessage('ready')
