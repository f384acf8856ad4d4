// The entry of a page that is saved as one file: everything in one bundle.
import './styles/base.css'
import './styles/parts.css'
import './main.tsx'
