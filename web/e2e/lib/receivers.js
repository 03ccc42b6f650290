import { createServer as createHttp } from 'node:http';
import { createServer } from 'node:net';

const listening = (server) => new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)));

/** A mail server that takes everything and keeps it. */
export async function mailServer() {
  const mails = [];
  const server = createServer((socket) => {
    let [text, mail] = ['', null];
    const say = (line) => socket.write(`${line}\r\n`);
    say('220 localhost ESMTP');
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      text += data.toString('latin1');
      let end;
      while ((end = text.indexOf('\r\n')) >= 0) {
        const line = text.slice(0, end);
        text = text.slice(end + 2);
        if (mail !== null) {
          if (line === '.') {
            mails.push(mail);
            mail = null;
            say('250 taken');
          } else mail += `${line}\n`;
        } else if (/^EHLO/i.test(line)) say('250 localhost');
        else if (/^DATA/i.test(line)) {
          mail = '';
          say('354 go on');
        } else if (/^QUIT/i.test(line)) {
          say('221 bye');
          socket.end();
        } else say('250 ok');
      }
    });
  });
  return { port: await listening(server), mails, close: () => server.close() };
}

/** A web hook's receiver that keeps what it gets; while it is `away`, it hangs up on everybody. */
export async function hookServer() {
  const hook = { bodies: [], away: false, close: () => server.close() };
  const server = createHttp((request, response) => {
    if (hook.away) {
      request.socket.destroy();
      return;
    }
    let body = '';
    request.on('data', (data) => (body += data));
    request.on('end', () => {
      hook.bodies.push(body);
      response.end('ok');
    });
  });
  hook.port = await listening(server);
  return hook;
}
