// Programs that exports are opened in. They are optional packages: one that is missing, or older than what the proof calls, is
// said in one line.
import { installCall } from '../../core/index.ts'

/** A program, and what is said where it cannot be used. */
export interface ConsumerPackage<Module> {
  name: string
  /** Oldest version with everything that the proof calls. */
  oldest: string
  /** The version that a loaded package says it has. */
  versionOf(module: Module): string | undefined | Promise<string | undefined>
  /** What is left undone without it, as the beginning of a sentence. */
  without: string
}

/** A package that was loaded. */
export interface OpenedConsumer<Module> {
  module: Module
  /** Name and version. */
  consumer: string
}

/** Whether a version such as 3.10.1 comes before another; one that is no version does. */
const isOlder = (version: string, than: string): boolean => {
  const [ours, theirs] = [version, than].map((one) => one.split(/[.-]/).map(Number))
  for (const [i, part] of theirs.entries()) {
    const mine = ours[i] ?? 0
    if (mine !== part) return !(mine > part)
  }
  return false
}

/** Loads a program. @param note gets a line where it is missing or too old @returns undefined then */
export const openConsumer = async <Module>(
  { name, oldest, versionOf, without }: ConsumerPackage<Module>,
  note: (line: string) => void,
): Promise<OpenedConsumer<Module> | undefined> => {
  let module: Module
  try {
    module = (await import(name)) as Module
  } catch {
    note(`${without}: \`${installCall(name)}\` compares them in it too.`)
    return undefined
  }
  const version = (await Promise.resolve(versionOf(module)).catch(() => undefined)) ?? 'of an unknown version'
  if (!isOlder(version, oldest)) return { module, consumer: `${name.split('/').at(-1)} ${version}` }
  note(
    `${without}: ${name} ${version} is installed, and ${oldest} or newer is needed: \`${installCall(`${name}@latest`)}\`.`,
  )
  return undefined
}
