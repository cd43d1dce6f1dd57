// The notices of the lab, and of the hub, as notifications, and word to the lab that somebody is there (docs/dev/lab.md,
// Activity, Announcements). And a page that opens without two of JupyterLab's waits.
//
// Written by hand as what webpack's module federation would build, so that the image needs no Node.js to be made:
// JupyterLab loads this file, calls init() with the packages that it shares, and get() for the plugin.
(() => {
  const LOOK_MILLISECONDS = 60000; // for new notices
  const REPORT_MILLISECONDS = 60000; // at most so often, that somebody is there
  const URGENT_MILLISECONDS = 3000; // while the lab says that it is about to stop for idleness
  const HUB_MILLISECONDS = 55000; // at most so often, what the hub announces
  const LEAVING_MILLISECONDS = 300; // for a page that is just being closed or loaded anew
  const STOPPED = 'No lab is started now: if you stop yours, you cannot start it again until this is over.';
  const INPUT = ['keydown', 'pointerdown', 'pointermove', 'wheel'];
  let shared;

  async function load(name) {
    const versions = Object.values(shared[name]);
    const loaded = versions.find(version => version.loaded) || versions[0];
    return (await loaded.get())();
  }

  function format(notice) {
    if (!notice.time) {
      return notice.text;
    }
    const time = new Date(notice.time);
    const today = time.toDateString() === new Date().toDateString();
    const shown = today ? time.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }) : time.toLocaleString();
    return notice.text.replace('{time}', shown);
  }

  // What the hub announces as notices; whoever stops their lab has to know that it will not start again.
  function announced({ message, level, spawning }) {
    const notices = message ? [{ id: `hub-${level}-${message}`, level, text: message }] : [];
    return spawning === 'stopped' ? [...notices, { id: 'hub-stopped', level: 'warning', text: STOPPED }] : notices;
  }

  async function watch(app) {
    const [{ Notification }, { ServerConnection }, { PageConfig }] = await Promise.all([
      load('@jupyterlab/apputils'),
      load('@jupyterlab/services'),
      load('@jupyterlab/coreutils')
    ]);
    const settings = app.serviceManager.serverSettings;
    const hubPath = PageConfig.getOption('hubAnnouncement'); // empty where no hub announces anything
    const told = { lab: [], hub: [] };
    const shown = new Map(); // the notification of each notice
    let urgent = false;
    let reported = 0;
    let askedHub = 0;

    function show(source, news) {
      told[source] = news;
      const notices = [...told.hub, ...told.lab];
      const current = new Set(notices.map(notice => notice.id));
      urgent = notices.some(notice => notice.use_helps);
      for (const [id, notification] of shown) {
        if (!current.has(id)) {
          Notification.dismiss(notification);
          shown.delete(id);
        }
      }
      for (const notice of notices.filter(({ id }) => !shown.has(id))) {
        shown.set(notice.id, Notification.emit(format(notice), notice.level, { autoClose: false }));
      }
    }

    async function ask(method) {
      try {
        const answer = await ServerConnection.makeRequest(`${settings.baseUrl}lsstlab/notices`, { method }, settings);
        if (answer.ok) {
          show('lab', await answer.json());
        }
      } catch {
        // No lab, no notice: JupyterLab itself says that it is gone.
      }
    }

    // Of the hub only a page asks that somebody can see: thousands may be open.
    async function askHub() {
      if (!hubPath || document.hidden || Date.now() - askedHub < HUB_MILLISECONDS) {
        return;
      }
      askedHub = Date.now();
      try {
        // Without cookies, and the browser itself takes a 304 for what it has.
        const options = { credentials: 'omit', cache: 'no-cache' };
        const answer = await fetch(PageConfig.getOption('hubHost') + hubPath, options);
        if (answer.ok) {
          show('hub', announced(await answer.json()));
        }
      } catch {
        // A hub that is away has said what it has said.
      }
    }

    function report() {
      if (Date.now() - reported > (urgent ? URGENT_MILLISECONDS : REPORT_MILLISECONDS)) {
        reported = Date.now();
        ask('POST');
      }
    }

    function look() {
      ask('GET');
      askHub();
    }

    INPUT.forEach(kind => window.addEventListener(kind, report, { capture: true, passive: true }));
    document.addEventListener('visibilitychange', () => document.hidden || look());
    setInterval(look, LOOK_MILLISECONDS);
    report(); // somebody has just opened the page
    askHub();
  }

  const notices = {
    id: 'lsstlab:notices',
    description: 'Shows what the lab has to tell its user.',
    autoStart: true,
    activate: app => {
      app.restored.then(() => watch(app));
    }
  };

  // JupyterLab asks for its launcher only when the state of the page is saved, and saves it when nothing has changed it
  // for half a second: most of a second in which a page with nothing in it waits.
  const launcher = {
    id: 'lsstlab:launcher',
    description: 'Shows the launcher as soon as it is known that there is nothing else to show.',
    autoStart: true,
    activate: ({ restored, shell, commands }) => {
      restored.then(async () => {
        const { PageConfig } = await load('@jupyterlab/coreutils');
        if (!PageConfig.getOption('treePath') && shell.isEmpty('main')) {
          commands.execute('launcher:create');
        }
      });
    }
  };

  // A page that has the workspace of another would write over it, and takes one of its own. JupyterLab asks all pages of the
  // browser and waits for an answer, 0.2 to 0.5 s by chance. A lock of the browser's says at once that there is none.
  async function makeResolver() {
    const [{ IWindowResolver, WindowResolver }, { IRouter }, { PageConfig, URLExt }] = await Promise.all([
      load('@jupyterlab/apputils'),
      load('@jupyterlab/application'),
      load('@jupyterlab/coreutils')
    ]);
    const base = PageConfig.getOption('baseUrl');

    // Tells whether this page has the workspace now, and then for as long as it is open.
    function take(workspace) {
      return new Promise((resolve, reject) => {
        const hold = lock => {
          resolve(lock !== null);
          return lock && new Promise(() => {});
        };
        const name = `jupyterlab-workspace:${base}:${workspace}`;
        navigator.locks.request(name, { ifAvailable: true }, hold).catch(reject);
      });
    }

    async function isMine(workspace) {
      if (await take(workspace)) {
        return true;
      }
      await new Promise(resolve => setTimeout(resolve, LEAVING_MILLISECONDS));
      return take(workspace);
    }

    return {
      id: 'lsstlab:resolver',
      description: 'Finds out whether another page has the workspace.',
      autoStart: true,
      provides: IWindowResolver,
      requires: [IRouter],
      activate: async (app, router) => {
        const workspace = PageConfig.getOption('workspace') || PageConfig.defaultWorkspace;
        // Without TLS browsers have no locks, but for the machine's own address: then JupyterLab's way.
        const ask = () => new WindowResolver().resolve(workspace).then(() => true, () => false);
        if (await isMine(workspace).catch(ask)) {
          return { name: workspace };
        }
        const mode = PageConfig.getOption('mode') === 'multiple-document' ? 'lab' : 'doc';
        const treePath = PageConfig.getOption('treePath');
        const { search, hash } = router.current;
        const another = URLExt.join(base, mode, 'workspaces', `auto-${Math.random().toString(36)[2]}`);
        const path = treePath ? URLExt.join(another, 'tree', URLExt.encodeParts(treePath)) : another;
        const query = URLExt.objectToQueryString({ ...URLExt.queryStringToObject(search || ''), reset: '1' });
        router.navigate(path + query + (hash || ''), { hard: true });
        return new Promise(() => {}); // the page goes: nothing may begin that needs a workspace
      }
    };
  }

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB.lsstlab = {
    init: scope => {
      shared = scope;
    },
    get: async () => {
      const plugins = [notices, launcher, await makeResolver()];
      return () => ({ __esModule: true, default: plugins });
    }
  };
})();
