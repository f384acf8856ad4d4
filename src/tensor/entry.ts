// The form of one line of the operator table; ops.ts is written in it, operator.ts makes it callable.

// biome-ignore lint/suspicious/noExplicitAny: parameters of any signature are assignable to it
export type AnySignature = (...values: any[]) => unknown

/** A table entry: which operators it may call, and the TypeScript signature of the call. */
export interface OperatorEntry<Signature extends AnySignature> {
  readonly overloads: readonly string[]
  /** Only for the type. */
  readonly signature?: Signature
}

export type SignaturesOf<Table> = {
  [Name in keyof Table]: Table[Name] extends OperatorEntry<infer Signature> ? Signature : never
}

/**
 * One entry. Each overload is written `namespace::name.overload(arg, *option, -unused)` with every argument of the schema in
 * its order: plain ones are positional here, `*` ones are keys of the options object, `-` ones keep the schema's default.
 */
export const entry = <Signature extends AnySignature>(...overloads: string[]): OperatorEntry<Signature> => ({
  overloads,
})
