// Writes src/export/onnx/onnx-schema.ts, the messages of ONNX's files, from ONNX's own onnx.proto. It is read by buf, the compiler of
// protocol buffers, which npx installs for the call. Run it with `npm run generate:onnx` for a new version of ONNX, or with
// `npm run generate:onnx -- FILE` for a file that is here already, as the one in the Python package onnx.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const version = '1.19.0'
const source = `https://raw.githubusercontent.com/onnx/onnx/v${version}/onnx/onnx.proto`
const buf = '@bufbuild/buf@1.75.0'
const target = fileURLToPath(new URL('../src/export/onnx/onnx-schema.ts', import.meta.url))

/** The descriptor of a .proto file, as the compiler of protocol buffers gives it. */
const describe = (path) => {
  const folder = mkdtempSync(join(tmpdir(), 'onnx-schema-'))
  try {
    copyFileSync(path, join(folder, 'onnx.proto'))
    const text = execFileSync('npx', ['--yes', buf, 'build', '--exclude-source-info', '-o', '-#format=json', folder], {
      encoding: 'utf8',
    })
    return JSON.parse(text).file[0]
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const download = async () => {
  const answer = await fetch(source)
  if (!answer.ok) throw new Error(`${source}: ${answer.status}. Name a file: npm run generate:onnx -- onnx.proto`)
  const folder = mkdtempSync(join(tmpdir(), 'onnx-proto-'))
  const path = join(folder, 'onnx.proto')
  writeFileSync(path, await answer.text())
  return path
}

/** `.onnx.TensorProto.DataType` -> `TensorProto.DataType`, `TYPE_INT64` -> `int64`. */
const typeOf = ({ type, typeName }) => typeName?.replace(/^\.onnx\./, '') ?? type.replace('TYPE_', '').toLowerCase()

const fieldText = (field) => {
  const { jsonName, number, label, options } = field
  const flags = [label === 'LABEL_REPEATED' ? ', repeated: true' : '', options?.packed ? ', packed: true' : '']
  return `${jsonName}: { number: ${number}, type: '${typeOf(field)}'${flags.join('')} },`
}

const enumText = (prefix, { name, value }) =>
  `'${prefix}${name}': { ${value.map((one) => `${one.name}: ${one.number ?? 0}`).join(', ')} },`

/** All messages and enums within a message, by their full names. */
const nested = (prefix, { messageType = [], nestedType = [], enumType = [] }) => {
  const found = { messages: [], enums: enumType.map((one) => enumText(prefix, one)) }
  for (const message of [...messageType, ...nestedType]) {
    // The order in which every program writes them.
    const fields = (message.field ?? []).toSorted((a, b) => a.number - b.number).map(fieldText)
    const inner = nested(`${prefix}${message.name}.`, message)
    found.messages.push(`'${prefix}${message.name}': {\n${fields.join('\n')}\n},`, ...inner.messages)
    found.enums.push(...inner.enums)
  }
  return found
}

const [path = await download()] = process.argv.slice(2)
const { messages, enums } = nested('', describe(path))
const text = `// Written by scripts/generate-onnx-schema.mjs from ONNX's onnx.proto (Apache-2.0); do not edit.
// @source https://github.com/onnx/onnx/blob/v${version}/onnx/onnx.proto
import type { ProtoSchema } from './protobuf.ts'

/** The messages of ONNX's files, with the number and type of each field, and the numbers of enums. */
export const onnxSchema = {
messages: {
${messages.join('\n')}
},
enums: {
${enums.join('\n')}
},
} as const satisfies ProtoSchema
`
const biome = fileURLToPath(new URL('../node_modules/.bin/biome', import.meta.url))
const formatted = execFileSync(biome, ['check', '--write', `--stdin-file-path=${target}`], {
  input: text,
  encoding: 'utf8',
})
writeFileSync(target, formatted)
