// Writes docs/reference: a page for each command from the catalogue of the compiled program, and the JSON schemas of recipes.
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

// VitePress reads Vue syntax in pages: angle brackets and braces of help texts are shown as they are.
const escapeHtml = (text) =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('{{', '&#123;&#123;')
    .replaceAll('|', '\\|')

const flagOf = ({ name, placeholder, arity, on }) => {
  if (arity === 'value') return `--${name} <${placeholder}>`
  if (arity === 'optional') return `--${name} [${placeholder}]`
  return on ? `--no-${name}` : `--${name}`
}

/** The page of one command. */
const commandPage = ({ name, summary, example, notes, arguments: specs, flags, choices }) => {
  const chosen = new Set(
    choices.flatMap(({ types }) => Object.values(types).flatMap((own) => own.map(({ name }) => name))),
  )
  const general = flags.filter(({ name }) => !chosen.has(name))
  const byChoice = choices.flatMap(({ types }) => Object.values(types).flat())
  const groups = new Map()
  for (const flag of [...general, ...byChoice]) groups.set(flag.group, [...(groups.get(flag.group) ?? []), flag])
  const tables = [...groups].flatMap(([group, own]) => [
    `## ${group.replace(/:$/, '')}`,
    '',
    '| flag | description |',
    '| --- | --- |',
    ...own.map((flag) => {
      const text = flag.on ? `turn off: ${flag.text}` : flag.text
      return `| \`${flagOf(flag).replaceAll('|', '\\|')}\` | ${escapeHtml(text)} |`
    }),
    '',
  ])
  const positional = specs.map(({ name: spec, description }) => `- \`${spec}\`: ${escapeHtml(description)}`)
  return [
    `# tunesmith ${name}`,
    '',
    `${escapeHtml(summary)}.`,
    '',
    '```sh',
    example,
    '```',
    '',
    ...(positional.length > 0 ? ['## Arguments', '', ...positional, ''] : []),
    ...(notes.length > 0 ? ['```text', ...notes, '```', ''] : []),
    ...tables,
  ].join('\n')
}

/** @returns the number of pages. Needs a compiled package in dist/. */
export const writeReference = async (root) => {
  const out = join(root, 'docs/reference')
  await rm(out, { recursive: true, force: true })
  await mkdir(join(out, 'commands'), { recursive: true })
  const { readCatalogue } = await import(pathToFileURL(join(root, 'dist/cli/catalogue.js')).href)
  const commands = Object.values(readCatalogue())
  const slug = (name) => name.replaceAll(' ', '-')
  for (const command of commands)
    await writeFile(join(out, 'commands', `${slug(command.name)}.md`), `${commandPage(command)}\n`)
  const list = commands.map(
    ({ name, summary }) => `- [\`tunesmith ${name}\`](${slug(name)}.md): ${escapeHtml(summary)}`,
  )
  await writeFile(join(out, 'commands/index.md'), `# Commands\n\n${list.join('\n')}\n`)
  const { recipeJsonSchema } = await import(pathToFileURL(join(root, 'dist/runs/index.js')).href)
  const schemas = join(root, 'docs/public/schemas')
  await mkdir(schemas, { recursive: true })
  for (const kind of ['pretrain', 'finetune', 'multitask', 'align'])
    await writeFile(join(schemas, `${kind}.json`), `${JSON.stringify(recipeJsonSchema(kind), null, 2)}\n`)
  return commands.length + 1
}
