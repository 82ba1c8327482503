// Recovery for pusher-js: channels that keep a history (docs/PUSHER.md) go on where they were when the connection comes
// back, with nothing missed and nothing twice.
//
//     import { recover } from '/weft-pusher.js';
//     const pusher = new Pusher(key, options);
//     recover(pusher, { onGap: (channel, reason) => refetch(channel) });
//
// pusher-js passes over what it does not know, so the places are read from the messages below it, and "recover" is added
// to its subscriptions. Returns the places by channel: kept over a reload, they may be given as `places`.

const succeeded = 'pusher_internal:subscription_succeeded';

export function recover(pusher, { places = {}, onGap = () => {} } = {}) {
    const hear = ({ data }) => {
        let message;
        try {
            message = JSON.parse(data);
        } catch {
            return;
        }
        const { event, channel, epoch, offset, recovered, reason } = message;
        if (event === succeeded && epoch) {
            places[channel] = { epoch, offset };
        } else if (offset !== undefined && places[channel]) {
            places[channel].offset = offset;
        }
        if (event === succeeded && recovered === false) onGap(channel, reason);
    };
    const seen = new WeakSet();
    const watch = () => {
        const transport = pusher.connection.connection?.transport;
        if (!transport || seen.has(transport)) return;
        seen.add(transport);
        transport.bind('message', hear);
    };
    // Before it subscribes anew: the connection manager tells those that are bound first.
    pusher.connection.bind('state_change', watch);
    watch();
    const send = pusher.connection.send_event.bind(pusher.connection);
    pusher.connection.send_event = (name, data, channel) => {
        watch();
        const place = name === 'pusher:subscribe' && places[data.channel];
        return send(name, place ? { ...data, recover: { ...place } } : data, channel);
    };
    return places;
}
