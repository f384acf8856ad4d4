// `tunesmith push`: uploads a folder to the Hub. The work is `pushFolder` of src/checkpoint.
import { z } from 'zod'
import { pushFolder } from '../../checkpoint/index.ts'
import { formatBytes } from '../../core/index.ts'
import { defineCommand } from '../command.ts'
import { switchField, textField } from '../parts/fields.ts'

export const push = defineCommand({
  name: 'push',
  summary: 'Upload a folder to the Hub as one commit; a new repository is private',
  example: 'tunesmith push exported owner/support-bot --dry-run',
  notes: ['The token is read from HF_TOKEN, or from the file that the login of Hugging Face writes.'],
  arguments: [
    { name: 'folder', description: 'folder of an export or model, or of a run, whose finished model is uploaded' },
    { name: 'repository', description: 'repository of the Hub: owner/name' },
  ],
  processes: 'first',
  options: z.strictObject({
    dryRun: switchField('list files and sizes, and upload nothing'),
    public: switchField('make a new repository public'),
    revision: textField('branch that the commit goes to (default: main)'),
    message: textField('title of the commit'),
  }),
  run: (options, { folder, repository }, { signal, log }) =>
    pushFolder({ folder, name: repository, ...options }, { signal, onProgress: log }),
  render: ({ name, files, bytes, url, commit, dryRun }) =>
    [
      ...files.map(({ path, bytes }) => `${formatBytes(bytes).padStart(9)}  ${path}`),
      dryRun
        ? `Would upload ${files.length} files (${formatBytes(bytes)}) to ${name}.`
        : `Uploaded ${files.length} files (${formatBytes(bytes)}) to ${url}, commit ${commit}.`,
    ].join('\n'),
})
