// Texts as tokens and back, and conversations as their chat template writes them.
import { z } from 'zod'
import { encodeChatPrompt, renderChatFor } from '../../tokenizers/index.ts'
import { badRequest } from '../http/errors.ts'
import { chatMessages, messagesOf, templateFields, templateOf, variablesOf } from '../texts/chat-run.ts'
import { tokenText } from '../texts/token-text.ts'
import { toolFields } from '../texts/tools.ts'
import { defineEndpoint, maxModelLength, modelName } from './endpoint.ts'

export const tokenize = defineEndpoint({
  method: 'post',
  path: '/tokenize',
  summary: 'The tokens of a text or a conversation',
  body: z.strictObject({
    model: modelName,
    prompt: z.string().nullish().describe('text'),
    messages: chatMessages.nullish().describe('conversation, in place of a text'),
    tools: toolFields.tools,
    ...templateFields,
    add_special_tokens: z.boolean().nullish().describe('add the special tokens of the tokenizer (default: true)'),
    return_token_strs: z.boolean().nullish().describe('return the text of each token'),
  }),
  answer(call) {
    const { prompt, messages, add_special_tokens: special, return_token_strs: withTexts } = call.body
    const model = call.model(call.body.model)
    if ((prompt == null) === (messages == null))
      throw badRequest('Expected either `prompt` or `messages`.', prompt == null ? 'prompt' : 'messages')
    if (prompt != null && (call.body.tools != null || call.body.chat_template_kwargs != null))
      throw badRequest('`tools` and `chat_template_kwargs` have an effect beside `messages` only.', 'prompt')
    const { tokenizer } = model
    call.service.expectLength(JSON.stringify(prompt ?? messages).length, model, 'prompt')
    const ids =
      prompt != null
        ? Array.from(tokenizer.encode(prompt, { addSpecialTokens: special ?? true }).ids)
        : encodeChatPrompt(tokenizer, messagesOf(messages ?? []), {
            template: templateOf(model),
            ...variablesOf(call.body, call.body.tools ?? undefined),
          })
    return Response.json({
      count: ids.length,
      max_model_len: maxModelLength(model),
      tokens: ids,
      token_strs: withTexts === true ? ids.map((id) => tokenText(tokenizer, id)) : null,
    })
  },
})

export const detokenize = defineEndpoint({
  method: 'post',
  path: '/detokenize',
  summary: 'The text of tokens',
  body: z.strictObject({ model: modelName, tokens: z.array(z.int().nonnegative()).max(1_000_000) }),
  answer(call) {
    const model = call.model(call.body.model)
    return Response.json({ prompt: model.tokenizer.decode(call.body.tokens) })
  },
})

export const applyTemplate = defineEndpoint({
  method: 'post',
  path: '/apply-template',
  summary: 'A conversation as the chat template of the model writes it',
  body: z.strictObject({ model: modelName, messages: chatMessages, tools: toolFields.tools, ...templateFields }),
  answer(call) {
    const model = call.model(call.body.model)
    const messages = messagesOf(call.body.messages)
    const prompt = renderChatFor(model.tokenizer, messages, {
      template: templateOf(model),
      addGenerationPrompt: true,
      ...variablesOf(call.body, call.body.tools ?? undefined),
    })
    return Response.json({ prompt })
  },
})
