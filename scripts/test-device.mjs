// With TUNESMITH_TEST_DEVICE, models and runs that name no device are on that one. `strict` refuses tensors of the CPU; `cuda` is a card.
const device = process.env.TUNESMITH_TEST_DEVICE
if (device === 'strict') {
  const { enableStrictDevice } = await import('../src/tensor/index.ts')
  enableStrictDevice({ byDefault: true })
} else if (device !== undefined) {
  const { useByDefault } = await import('../src/tensor/device.ts')
  useByDefault(device)
}
