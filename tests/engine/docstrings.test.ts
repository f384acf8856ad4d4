// Every public operator has a docstring that an editor shows on hover.
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const entry = fileURLToPath(new URL('../../src/tensor/public.ts', import.meta.url))
const program = ts.createProgram([entry], {
  module: ts.ModuleKind.NodeNext,
  target: ts.ScriptTarget.ES2023,
  allowImportingTsExtensions: true,
  noEmit: true,
  skipLibCheck: true,
  strict: true,
  types: ['node'],
})
const checker = program.getTypeChecker()
const moduleSymbol = checker.getSymbolAtLocation(program.getSourceFile(entry)!)!
const exported = checker
  .getExportsOfModule(moduleSymbol)
  .map((symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol))
const undocumented = (symbols: readonly ts.Symbol[]) =>
  symbols.filter((symbol) => symbol.getDocumentationComment(checker).length === 0).map((symbol) => symbol.name)

describe('the docstrings of tunesmith/tensor', () => {
  it('cover every export', () => {
    expect(exported.length).toBeGreaterThan(50)
    expect(undocumented(exported)).toEqual([])
  })

  it('cover every method and property of Tensor, those of the operator lists included', () => {
    const tensor = exported.find(({ name }) => name === 'Tensor')!
    const members = checker
      .getDeclaredTypeOfSymbol(tensor)
      .getProperties()
      .filter(({ name }) => !/^(__|#)/.test(name))
    expect(members.length).toBeGreaterThan(180)
    expect(undocumented(members)).toEqual([])
  })
})
