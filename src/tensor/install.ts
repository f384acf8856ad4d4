// Puts the operators of methods.ts on the tensor's prototype, when it is imported.
import { methods } from './methods.ts'
import { callable, parseDeclaration } from './operator.ts'
import type { AnySignature, OperatorEntry } from './operator-entry.ts'
import { Tensor } from './tensor.ts'

for (const [name, entry] of Object.entries(methods)) {
  const call = callable(name, entry as OperatorEntry<AnySignature>)
  const positional = parseDeclaration(entry.overloads[0]).parameters.filter(({ passed }) => passed === 'positional')
  // The tensor goes where the schema has `self`, which is not always first.
  const place = Math.max(
    0,
    positional.findIndex((parameter) => parameter.name === 'self'),
  )
  const method =
    place === 0
      ? function (this: Tensor, ...values: unknown[]) {
          return call(this, ...values)
        }
      : function (this: Tensor, ...values: unknown[]) {
          return call(...values.slice(0, place), this, ...values.slice(place))
        }
  Object.defineProperty(Tensor.prototype, name, { value: method, writable: true, configurable: true })
}
