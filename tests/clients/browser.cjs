// A browser, driven by lines of JSON on its input and telling by lines of JSON what happens to it.
// It is the official client as it comes; whoever drives it is the school's own server that authorizes channels.
const Pusher = require('pusher-js')
const readline = require('node:readline')

const options = JSON.parse(process.argv[2])
const tell = (said) => process.stdout.write(JSON.stringify(said) + '\n')
const asked = new Map()

const pusher = new Pusher(options.key, {
  cluster: 'none',
  wsHost: options.host,
  wsPort: options.port,
  forceTLS: false,
  enabledTransports: ['ws'],
  disableStats: true,
  channelAuthorization: {
    customHandler: (request, answer) => {
      const id = String(asked.size)
      asked.set(id, answer)
      tell({ authorize: id, channel: request.channelName, socket: request.socketId })
    },
  },
})

pusher.connection.bind('state_change', (change) => tell({ state: change.current, socket: pusher.connection.socket_id }))
pusher.connection.bind('error', (error) => tell({ error: error?.data ?? error?.error?.data ?? String(error?.type) }))
pusher.bind_global((event, data) => tell({ app: true, event, data }))

const commands = {
  subscribe: ({ channel }) =>
    pusher.subscribe(channel).bind_global((event, data) => tell({ channel, event, data })),
  unsubscribe: ({ channel }) => pusher.unsubscribe(channel),
  trigger: ({ channel, event, data }) => tell({ triggered: pusher.channel(channel).trigger(event, data) }),
  members: ({ channel }) => {
    const members = {}
    pusher.channel(channel).members.each((member) => (members[member.id] = member.info))
    tell({ members })
  },
  authorized: ({ id, data }) => asked.get(id)(data ? null : new Error('refused'), data),
}

const input = readline.createInterface({ input: process.stdin })
input.on('line', (line) => {
  const command = JSON.parse(line)
  commands[command.do](command)
})
input.on('close', () => {
  pusher.disconnect()
  process.exit(0)
})
