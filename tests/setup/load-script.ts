// The set-up scripts are plain JavaScript, since they run before anything is installed; the tests load them by path.
type Functions = Record<string, (...args: never[]) => unknown>

/** The functions of one file of scripts/setup, as the given type. */
export async function loadScript<Module extends Functions>(name: string): Promise<Module> {
  return (await import(new URL(`../../scripts/setup/${name}`, import.meta.url).href)) as Module
}
