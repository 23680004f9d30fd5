import 'graphiql/style.css';
import './style.css';
import { createRoot } from 'react-dom/client';
import { App } from './App.jsx';
import { loadConfig } from './config.js';

const root = createRoot(document.getElementById('root'));

loadConfig().then(
  (config) => root.render(<App config={config} />),
  (error) => root.render(<p className="tk-notice" role="alert">The Playground could not start: {error.message}</p>),
);
