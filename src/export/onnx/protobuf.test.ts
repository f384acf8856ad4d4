// Examples of the encoding guide (protobuf.dev/programming-guides/encoding), and ONNX's messages against bytes that the generated
// classes of ONNX's own Python package wrote.
import { expect, it } from 'vitest'
import { onnxSchema } from './onnx-schema.ts'
import { type EncodedMessage, encodeMessage, type ProtoSchema } from './protobuf.ts'

const schema = {
  messages: {
    Test1: { a: { number: 1, type: 'int32' }, far: { number: 16, type: 'Kind' } },
    Test2: { b: { number: 2, type: 'string' }, d: { number: 4, type: 'double' } },
    Test3: { c: { number: 3, type: 'Test1' } },
    Test4: {
      d: { number: 4, type: 'string' },
      e: { number: 5, type: 'int64', repeated: true },
      f: { number: 6, type: 'int32', repeated: true, packed: true },
    },
  },
  enums: { Kind: { none: 0, some: 300 } },
} as const satisfies ProtoSchema

const hex = (message: EncodedMessage) => Buffer.concat([...message.chunks()]).toString('hex')

it('writes the examples of the encoding guide', () => {
  expect(hex(encodeMessage(schema, 'Test1', { a: 150 }))).toBe('089601')
  expect(hex(encodeMessage(schema, 'Test1', { a: -2 }))).toBe('08feffffffffffffffff01')
  expect(hex(encodeMessage(schema, 'Test1', { a: 0, far: 'some' }))).toBe('08008001ac02')
  expect(hex(encodeMessage(schema, 'Test2', { b: 'testing', d: 1.5 }))).toBe('120774657374696e6721000000000000f83f')
  expect(hex(encodeMessage(schema, 'Test3', { c: { a: 150 } }))).toBe('1a03089601')
  expect(hex(encodeMessage(schema, 'Test4', { d: 'hello', e: [1, 2, 3n] }))).toBe('220568656c6c6f280128022803')
  expect(hex(encodeMessage(schema, 'Test4', { f: [3, 270, 86942] }))).toBe('3206038e029ea705')
})

it('streams bytes whose size is known, at every depth', () => {
  const made: string[] = []
  function* chunks() {
    made.push('made')
    yield Uint8Array.of(1, 2)
    yield Uint8Array.of(3)
  }
  const message = encodeMessage(onnxSchema, 'GraphProto', { initializer: [{ rawData: { bytes: 3, chunks } }] })
  expect(message.bytes).toBe(7)
  expect(made).toEqual([])
  expect(hex(message)).toBe('2a054a03010203')
  expect([...message.pieces()].every((piece) => piece instanceof Uint8Array)).toBe(true)
})

it('writes the bytes of the Python package onnx 1.19 for a model', () => {
  const message = encodeMessage(onnxSchema, 'ModelProto', {
    irVersion: 9,
    producerName: 'p',
    producerVersion: '1',
    opsetImport: [{ domain: '', version: 18 }],
    graph: {
      name: 'g',
      node: [
        {
          input: ['x', 'w'],
          output: ['y'],
          name: 'n',
          opType: 'Conv',
          domain: 'd',
          attribute: [
            { name: 'i', i: -1, type: 'INT' },
            { name: 's', s: Buffer.from('hi'), type: 'STRING' },
            { name: 'f', f: 0.5, type: 'FLOAT' },
            { name: 'l', ints: [0, 300], type: 'INTS' },
            { name: 'b', g: { name: 'branch' }, type: 'GRAPH' },
          ],
        },
      ],
      initializer: [
        { name: 'w', dataType: 10, dims: [1], rawData: Uint8Array.of(1, 2) },
        {
          name: 'e',
          dataType: 1,
          dims: [2, 3],
          externalData: [{ key: 'location', value: 'f' }],
          dataLocation: 'EXTERNAL',
        },
      ],
      input: [
        { name: 'x', type: { tensorType: { elemType: 7, shape: { dim: [{ dimParam: 'b' }, { dimValue: 4 }] } } } },
      ],
      output: [{ name: 'y', type: { tensorType: { elemType: 1, shape: {} } } }],
    },
  })
  // ModelProto(...).SerializeToString(deterministic=True)
  expect(hex(message)).toBe(
    '08091201701a01313ab1010a600a01780a01771201791a016e2204436f6e762a110a016918ffffffffffffffffff01a001022a0a0a017322' +
      '026869a001032a0b0a0166150000003fa001012a0b0a016c400040ac02a001072a100a0162320812066272616e6368a001053a0164120167' +
      '2a0b0801100a4201774a0201022a1a0802080310014201656a0d0a086c6f636174696f6e12016670015a140a0178120f0a0d080712090a03' +
      '1201620a020804620b0a017912060a040801120042040a001012',
  )
})
