// `tunesmith inspect`: labelled data before a run. The work is `inspectData` of src/runs.
import { writeFileAtomic } from '../../core/index.ts'
import {
  type DataInspection,
  type InspectDataInput,
  inspectData,
  inspectDataSchema,
  renderDataInspection,
  renderDataInspectionPage,
} from '../../runs/index.ts'
import { defineCommand } from '../command.ts'
import { textField } from '../parts/fields.ts'
import { taskColumns, withColumns } from '../parts/task-columns.ts'

export const inspect = defineCommand({
  name: 'inspect',
  summary: 'Show lengths, copies, labels, contradictions and overlap of labelled data before a run',
  example:
    'tunesmith inspect reviews.jsonl --task sequence-classification --validation dev.jsonl --tokenizer runs/bert',
  arguments: [{ name: 'data', description: 'file or folder with training data' }],
  processes: 'first',
  options: inspectDataSchema
    .extend(taskColumns)
    .extend({ html: textField('HTML file to write, with tables of all findings') }),
  async run({ html, ...options }, { data }) {
    const inspection = await inspectData(data, withColumns(options) as InspectDataInput)
    if (html !== undefined) await writeFileAtomic(html, renderDataInspectionPage(inspection))
    return { ...inspection, ...(html === undefined ? {} : { html }) }
  },
  render: (result: DataInspection & { html?: string }) =>
    `${renderDataInspection(result)}${result.html === undefined ? '' : `\n\npage  ${result.html}`}`,
})
