// anthropic-node in the scenario that argv[2] names; what its user gets is printed as JSON.
import Anthropic from '@anthropic-ai/sdk'
import { betaZodTool } from '@anthropic-ai/sdk/helpers/beta/zod'
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod'
import { z } from 'zod'

const { base, key, model, scenario } = JSON.parse(process.argv[2])
const client = new Anthropic({ baseURL: base, apiKey: key })
const messages = [{ role: 'user', content: 'Hello' }]
const asked = { model, messages, max_tokens: 4000, system: 'Be brief.' }
const joined = (message, kind) => message.content.filter(({ type }) => type === kind).map((block) => block[kind]).join('')
const told = (message) => ({
  text: joined(message, 'text'),
  thought: joined(message, 'thinking'),
  stop: message.stop_reason,
  tokens: message.usage.output_tokens,
})

const scenarios = {
  whole: async () => told(await client.messages.create(asked)),
  async stream() {
    let text = ''
    const kinds = []
    for await (const event of await client.messages.create({ ...asked, stream: true })) {
      kinds.push(event.type)
      text += event.delta?.text ?? ''
    }
    return { text, first: kinds[0], last: kinds.at(-1) }
  },
  async helper() {
    const pieces = []
    const stream = client.messages.stream(asked).on('text', (piece) => pieces.push(piece))
    return { ...told(await stream.finalMessage()), pieces: pieces.join('') }
  },
  // Without `thread: false` each turn after the first sends its news only (beta message-threads).
  async tools(stream = false, more = { thread: false }) {
    const cities = []
    const run = ({ city }) => (cities.push(city), `sunny in ${city}`)
    const inputSchema = z.object({ city: z.string() })
    const tool = betaZodTool({ name: 'get_weather', description: 'The weather now', inputSchema, run })
    const runner = client.beta.messages.toolRunner({ ...asked, ...more, tools: [tool], stream })
    if (stream) for await (const turn of runner) for await (const event of turn) event.type
    const last = await runner.runUntilDone()
    return { ...told(last), cities }
  },
  toolsStreamed: () => scenarios.tools(true),
  toolsThreaded: () => scenarios.tools(false, {}),
  async parse() {
    const schema = z.object({ city: z.string(), days: z.number().int() })
    const message = await client.messages.parse({ ...asked, output_config: { format: zodOutputFormat(schema) } })
    return message.parsed_output
  },
  async reasoning() {
    const thinking = { type: 'enabled', budget_tokens: 2000 }
    return told(await client.messages.stream({ ...asked, thinking }).finalMessage())
  },
  async betas() {
    const message = await client.beta.messages.create({ ...asked, betas: ['context-management-2025-06-27'] })
    return told(message)
  },
  count: () => client.messages.countTokens({ model, messages }),
  async models() {
    const ids = []
    for await (const { id } of client.models.list()) ids.push(id)
    return ids
  },
}
try {
  console.log(JSON.stringify(await scenarios[scenario]()))
} catch (error) {
  console.log(JSON.stringify({ error: error.constructor.name, status: error.status, message: error.message }))
}
