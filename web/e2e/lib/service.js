import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const binary = process.env.STRONGROOM_BINARY;
if (!binary) throw new Error('STRONGROOM_BINARY must name the built binary');

/** Nothing of the machine that the tests run on shall configure what they test. */
const environment = { PATH: process.env.PATH, HOME: '/nonexistent', LANG: 'C.UTF-8' };

/** The sample application in a folder of its own, after `strongroom demo` has been through it. */
export class Application {
  constructor() {
    this.root = mkdtempSync(join(tmpdir(), 'strongroom-e2e-'));
    this.folder = join(this.root, 'crm');
    this.database = join(this.folder, 'prisma/dev.db');
    this.uploads = join(this.folder, 'uploads');
    this.run(['demo', '--no-serve', '--at', this.folder], { cwd: this.root });
  }

  /** Runs the command line; at another time than now where one is named. */
  run(args, { cwd = this.folder, input, at } = {}) {
    const [program, rest] = at ? ['faketime', [at, binary, ...args]] : [binary, args];
    const done = spawnSync(program, rest, { cwd, input, encoding: 'utf8', env: environment });
    if (done.status !== 0) throw new Error(`strongroom ${args.join(' ')} failed: ${done.stderr}${done.stdout}`);
    return done.stdout;
  }

  configure({ dotenv = '', toml = '' }) {
    appendFileSync(join(this.folder, '.env'), `\n${dotenv}\n`);
    writeFileSync(join(this.folder, 'strongroom.toml'), toml);
  }

  sql(text) {
    const done = spawnSync('sqlite3', ['-cmd', '.timeout 10000', this.database, text], { encoding: 'utf8' });
    if (done.status !== 0) throw new Error(`sqlite3: ${done.stderr}`);
    return done.stdout.trim();
  }

  /** An upload of random bytes, which no compression makes smaller. */
  upload(name, bytes) {
    const path = join(this.uploads, name);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, '');
    for (let left = bytes; left > 0; left -= 1 << 24) appendFileSync(path, randomBytes(Math.min(left, 1 << 24)));
    return path;
  }

  /** Served on a free port by the real binary. */
  async serve() {
    const args = ['serve', '--listen', '127.0.0.1:0', '--json'];
    const service = spawn(binary, args, { cwd: this.folder, env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    service.stderr.on('data', (data) => (said = (said + data).slice(-4000)));
    const line = await new Promise((resolve, reject) => {
      let text = '';
      service.stdout.on('data', (data) => {
        text += data;
        if (text.includes('\n')) resolve(text);
      });
      service.once('exit', (code) => reject(new Error(`the service ended with ${code}: ${said}`)));
    });
    const over = new Promise((resolve) => service.once('exit', resolve));
    const stop = () => {
      service.kill('SIGTERM');
      return over;
    };
    return { ...JSON.parse(line), stop };
  }

  remove() {
    rmSync(this.root, { recursive: true, force: true });
  }
}
